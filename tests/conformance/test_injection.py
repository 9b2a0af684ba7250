"""What a caller writes is a value and never a part of a statement: SQL (CWE-89) and FHIRPath (CWE-917).

Every search parameter of two types meets a way to break out; those of each SearchParamType meet all of them.
Nothing in the chart has such a value: whatever finds something has changed the question.
"""

import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from fhir_server.definitions import load
from fhir_server.search.registry import Registry
from fhir_server.settings import default_definitions
from tests.conformance.chart import CHART
from tests.conformance.test_fhirpatch import JSON, operation, parameters

pytestmark = [pytest.mark.anyio, pytest.mark.spec("CWE-89")]
BREAKS = (
    "zz' OR '1'='1",
    "zz' OR 1=1 --",
    'zz" OR "1"="1',
    "zz') OR ('1'='1",
    "zz'; DROP TABLE resource; --",
    "zz' UNION SELECT content FROM version --",
    "zz'||(SELECT pg_sleep(5))||'",
    "zz\\' OR 1=1 --",
    "zz$$; SELECT 1; $$",
    "zz%' OR '%'='",
    "zz/**/OR/**/1=1",
    "%",
    "_____",
    "%(param_1)s",
    ":param_1",
    "{0}",
    "zz'\u02bc\uff07 OR 1=1",
)
REGISTRY = Registry(load(default_definitions()))
NAMES = ("'", '"', ";--", "' OR '1'='1", ")", "%", "\\", "/**/", "\u02bc")
PLACES = (
    "Patient?_sort={}",
    "Patient?_sort=family{}",
    "Patient?_include=Patient:organization{}",
    "Observation?_include={}:subject",
    "Patient?_revinclude=Observation:{}",
    "Patient?_has:Observation:patient:code={}",
    "Patient?_has:Observation:{}:code=x",
    "Patient?_has:{}:patient:code=x",
    "Observation?subject:Patient.name={}",
    "Observation?subject:Patient{}.name=x",
    "Patient?name:{}=x",
    "Patient?name{}=Anna",
    'Patient?_filter=family eq "{}"',
    'Patient?_filter=family{} eq "x"',
    "Patient?_filter={}",
    "Patient?_id={}",
    "Patient?_lastUpdated={}",
    "Patient?_tag={}",
    "Patient?_list={}",
    "Patient?_type={}",
    "Patient?name=zzzz&_elements={}",
    "Patient?name=zzzz&_count={}",
    "Patient?name=zzzz&_page={}",
    "Patient/{}",
    "Patient/anna/_history/{}",
    "Patient/_history?_since={}",
    "Patient/{}/Observation",
)


def questions() -> Iterator[str]:
    rotating, kinds = cycle(BREAKS), set[str]()
    for resource_type in ("Patient", "Observation"):
        for code, parameter in REGISTRY.of(resource_type).items():
            chosen = (next(rotating),) if parameter.type in kinds else BREAKS
            kinds.add(parameter.type)
            yield from (f"{resource_type}?{code}={quote(each)}" for each in chosen)
    for code in ("name:contains", "name:exact", "identifier:of-type", "gender:in", "birthdate:missing", "gender:text"):
        yield from (f"Patient?{code}={quote(each)}" for each in BREAKS)
    for place in PLACES:
        yield from (place.format(quote(each)) for each in (*BREAKS[:3], *BREAKS[4:8], *NAMES))


def count(answer: httpx.Response) -> int:
    body = answer.json()
    if answer.status_code != 200 or body["resourceType"] != "Bundle":
        return 0
    return sum(1 for each in body.get("entry", ()) if each.get("search", {}).get("mode", "match") == "match")


async def test_no_value_and_no_name_becomes_sql(chart: httpx.AsyncClient) -> None:
    asked = list(dict.fromkeys(questions()))
    assert len(asked) > 600
    for each in asked:
        began = time.monotonic()
        answer = await chart.get(f"/{each}")
        assert answer.status_code in {200, 400, 403, 404, 410, 422}, (each, answer.text)
        assert answer.status_code != 200 or count(answer) == 0, (each, answer.text)
        assert time.monotonic() - began < 4, each
        assert not any(word in answer.text for word in ("sqlalchemy", "psycopg", "sqlite3", "syntax error")), (
            answer.text
        )
    for resource_type in ("Patient", "Observation"):
        there = sum(1 for each in CHART if each["resourceType"] == resource_type)
        assert (await chart.get(f"/{resource_type}?_summary=count")).json()["total"] == there


PATHS = (
    "Patient.managingOrganization.resolve().name",
    "Patient.generalPractitioner.resolve().name[0].family",
    "Patient.repeat($this)",
    "%resource.id",
    "%context.name",
    "Patient.name.where('' = '' and false or defineVariable('x')).family",
    "Patient.iif(true, Organization, Patient).name",
    "Patient.name | Organization.name",
    "Organization.name",
    "Patient.name.aggregate($total + 1, 0)",
    "Patient.meta.versionId",
    "Patient.meta.lastUpdated",
    "Patient.id",
    "Patient.resourceType",
    "Patient.name.family.matches('(a+)+$')",
    "Patient.name[-1].family",
    "Patient.name.where(family = 'Müller-Śliwa' or family = \\'",
    "Patient.'; DROP TABLE resource; --",
    "Patient." + "name." * 400 + "family",
    "(" * 3000 + "Patient" + ")" * 3000,
)
POINTERS = (
    "/id",
    "/resourceType",
    "/__proto__",
    "/../Organization/clinic/name",
    "/name/-1",
    "/name/~2",
    "name",
)


@pytest.mark.spec("CWE-917", "R4 fhirpatch.html")
async def test_no_path_of_a_patch_leaves_the_resource(chart: httpx.AsyncClient) -> None:
    named = ("Patient/anna", "Organization/clinic")
    before = [(await chart.get(f"/{each}")).json() for each in named]
    for path in PATHS:
        for kind in ("replace", "add", "delete"):
            parts: dict[str, Any] = {} if kind == "delete" else {"value": {"valueString": "stolen"}}
            parts |= {"name": "family"} if kind == "add" else {}
            began = time.monotonic()
            answer = await chart.patch("/Patient/anna", json=parameters(operation(kind, path, **parts)), headers=JSON)
            ignored = (
                kind == "delete" or ".meta." in path
            )  # nothing to delete is no error, the server sets its own meta
            assert answer.status_code in {400, 422} or (ignored and "stolen" not in answer.text), (kind, path[:90])
            assert time.monotonic() - began < 4, path[:90]
    for pointer in POINTERS:
        patch = [{"op": "replace", "path": pointer, "value": "stolen"}]
        headers = {"Content-Type": "application/json-patch+json"}
        answer = await chart.patch("/Patient/anna", json=patch, headers=headers)
        assert answer.status_code in {400, 409, 422}, (pointer, answer.text)
    after = [(await chart.get(f"/{each}")).json() for each in named]
    assert "stolen" not in str(after)
    own = [("meta", "name"), ("meta",)]  # a union may delete a name of the patient itself, and no other's
    for one, other, changed in zip(before, after, own, strict=True):
        assert {key for key in one | other if one.get(key) != other.get(key)} <= {*changed}
