"""`_text` and `_content`.  https://hl7.org/fhir/R4/search.html#content"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.caller import Caller
from fhir_server.search.words import whole_texts
from fhir_server.store.reindex import Reindexer
from fhir_server.store.verify import Verifier
from tests.conformance.chart import found, put
from tests.fhir_server.node import Server, running

pytestmark = pytest.mark.anyio


def condition(id_: str, narrative: str, note: str, patient: str = "Patient/one") -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id_,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'},
        "subject": {"reference": patient},
        "note": [{"text": note}],
    }


TEXTS = [
    {"resourceType": "Patient", "id": "one", "name": [{"family": "Ünal"}]},
    {"resourceType": "Patient", "id": "two", "name": [{"family": "Other"}]},
    condition("bone", '<p title="liver">Bone <b>metastases</b> &amp; pain</p>', "seen by Dr. Müller-Śliwa"),
    condition("liver", "<p>Liver metastases, no pain</p>", "progressive disease"),
    condition("stable", "<p>Liver cyst</p>", "disease not progressive", "Patient/two"),
]
FOUND = {
    "_text=metastases": ["bone", "liver"],
    "_text=METÁSTASES": ["bone", "liver"],
    "_text=(bone OR liver) and metastases": ["bone", "liver"],
    "_text=liver metastases": ["liver"],
    "_text=metastases liver": ["liver"],
    '_text="metastases liver"': [],
    '_text="liver metastases"': ["liver"],
    "_text=metasta*": ["bone", "liver"],
    "_text=metasta": [],
    "_text=liver NOT metastases": ["stable"],
    "_text=not liver": ["bone"],
    "_text=bone,cyst": ["bone", "stable"],
    "_text=bone or liver pain": ["bone", "liver"],
    "_text=progressive": [],
    "_content=progressive": ["liver", "stable"],
    '_content="progressive disease"': ["liver"],
    "_content=muller-sliwa": ["bone"],
    "_content=müller-śl*": ["bone"],
    "_text=metastases&_content=progressive": ["liver"],
    "_content=disease&subject=Patient/two": ["stable"],
    "subject:Patient._content=unal&_text=pain": ["bone", "liver"],
    '_filter=_text co "cyst" or _content eq muller': ["bone", "stable"],
}
BAD = ["_text=(bone", "_text=bone)", '_text="bone', "_text=---", "_text=and", "_text=bone or", "_text:missing=true"]
BAD += ["_text:exact=x", "_sort=_text", "_text=" + "(" * 60 + "a" + ")" * 60, "_filter=_text ne x"]


@pytest.fixture(scope="module")
async def server(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    """Written while texts were not indexed; then they are, and the reindex does what was there."""
    async with running(module_database_url) as node, node.client() as client:
        await put(client, TEXTS[:-1])
        answer = await client.get("/Condition?_content=pain")
        assert answer.status_code == 400 and "KONSIL_FHIR_FULL_TEXT" in answer.text
    async with running(module_database_url, full_text=True) as node:
        state = node.app.state.node
        await Reindexer(state.database, state.extractor, state.numbers).run(lambda *_: None, alone=True)
        async with node.client() as client:
            await put(client, [TEXTS[-1] | {"note": [{"text": "to be replaced"}]}])
            await put(client, TEXTS[-1:])
        yield node


@pytest.mark.spec("R4 search.html#content")
@pytest.mark.parametrize("query", FOUND)
async def test_words_are_found(client: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(client, f"Condition?{query}")) == FOUND[query]


@pytest.mark.spec("R4 search.html#content")
@pytest.mark.parametrize("query", BAD, ids=lambda query: query[:20])
async def test_what_is_no_question_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/Condition?{query}")).status_code == 400


@pytest.mark.spec("R4 search.html#content")
async def test_the_index_follows_what_is_written(client: httpx.AsyncClient, server: Server, unique: str) -> None:
    await put(client, [condition(unique, "<p>fleeting</p>", "x")])
    assert await found(client, "Condition?_text=fleeting") == [unique]
    several = (await client.get("?_type=Condition,Observation&_content=fleeting")).json()
    assert [entry["resource"]["id"] for entry in several["entry"]] == [unique]
    await client.delete(f"/Condition/{unique}")
    assert await found(client, "Condition?_text=fleeting") == []
    assert await found(client, "Condition?_content=replaced") == []
    state = server.app.state.node
    verified = await Verifier(state.database, state.extractor, state.numbers).run(lambda *_: None)
    assert (verified.disagree, verified.orphans) == ([], 0)


@pytest.mark.spec("R4 search.html#content")
async def test_nobody_finds_what_they_may_not_see(server: Server) -> None:
    one = Caller("one", "app", "Patient/one", frozenset({"patient"}), None, ("patient/*.rs",), patient="one")
    async with server.client(one) as client:
        assert sorted(await found(client, "Condition?_content=disease")) == ["liver"]
        assert (await client.get("/Condition?_content=disease&_summary=count")).json()["total"] == 1


TREES = st.recursive(st.text(max_size=20), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=4), TREES, max_size=4))
def test_whatever_a_resource_holds_becomes_words(resource: dict[str, Any]) -> None:
    for text in whole_texts(resource):
        assert text.replace(" ", "").isalnum() or text == ""
