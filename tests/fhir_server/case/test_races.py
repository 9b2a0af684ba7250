"""Two people at once: the pair of request and Task never breaks, whoever is first."""

import asyncio

import pytest

from tests.fhir_server.case.town import Town, state

pytestmark = pytest.mark.anyio


async def test_withdrawing_and_accepting_at_once(town: Town) -> None:
    cases = [await town.submit() for _ in range(8)]
    for made in cases:
        await town.offer(made["Task"][0])
    tasks = [await town.read("okafor", made["Task"][0]) for made in cases]
    requests = [await town.read("weber", made["ServiceRequest"][0]) for made in cases]
    acceptance = {"status": "accepted", "businessStatus": state("assigned")}
    writes = [town.write("weber", request, status="revoked") for request in requests]
    writes += [town.write("ito", task, **acceptance) for task in tasks]
    answers = [answer.status_code for answer in await asyncio.gather(*writes)]
    for made, withdrawn, accepted in zip(cases, answers[:8], answers[8:], strict=True):
        task = await town.read("okafor", made["Task"][0])
        request = await town.read("weber", made["ServiceRequest"][0])
        pair = (request["status"], task["status"])
        assert pair == (("revoked", "cancelled") if withdrawn == 200 else ("active", "accepted"))
        assert {withdrawn, accepted} <= {200, 404, 412, 422}
        assert [withdrawn, accepted].count(200) == 1
