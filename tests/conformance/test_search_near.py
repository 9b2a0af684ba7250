"""https://hl7.org/fhir/R4/location.html#positional-search"""

import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.positions import EARTH_RADIUS_METRES, metres_between, point
from tests.conformance.chart import found, put
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

PLACES = {
    "charite": (52.5256, 13.3777),
    "potsdam": (52.3906, 13.0645),
    "suva": (-18.1416, 178.4419),
    "taveuni": (-16.85, -179.97),
    "alert": (82.5018, -62.3481),
    "pole": (90, 0),
    "ninety-east": (89.9, 90),
}
NEAR = {
    "52.5256|13.3777|0": ["charite"],
    "52.52|13.4|2": ["charite"],
    "52.52|13.4|1.5": [],
    "52.52|13.4": ["charite", "potsdam"],
    "52.52|13.4||": ["charite", "potsdam"],
    "52.52|13.4|30|km": ["charite", "potsdam"],
    "52.52|13.4|2000|m": ["charite"],
    "52.52|13.4|1.2|[mi_i]": ["charite"],
    "52.52|13.4|1.2|mi": ["charite"],
    "-17|179.99|20": ["taveuni"],
    "-17|-179.99|220": ["suva", "taveuni"],
    "89.95|-90|17|km": ["ninety-east", "pole"],
    "82.5|-62|10,52.4|13.06|2": ["alert", "potsdam"],
    "0|0|30000": sorted([*PLACES]),
}
BAD = ["", "1", "1|2|3|4|5", "91|0", "0|181", "x|0", "0|0|-1", "0|0|1|kg", "0|0|1|nonsense", "0|0|near", "NaN|0", "|"]


def location(id_: str, latitude: float, longitude: float) -> dict[str, Any]:
    position = {"latitude": latitude, "longitude": longitude}
    return {"resourceType": "Location", "id": id_, "name": id_, "position": position}


@pytest.fixture(scope="module")
async def places(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        await put(client, [location(id_, *position) for id_, position in PLACES.items()])
        visit = {"resourceType": "Encounter", "id": "visit", "status": "planned", "class": {"code": "AMB"}}
        await put(client, [{"resourceType": "Location", "id": "nowhere", "name": "nowhere"}])
        await put(client, [visit | {"location": [{"location": {"reference": "Location/suva"}}]}])
        yield client


@pytest.mark.spec("R4 location.html#positional-search")
@pytest.mark.parametrize("near", NEAR)
async def test_near(places: httpx.AsyncClient, near: str) -> None:
    assert sorted(await found(places, f"Location?near={near}")) == NEAR[near]


@pytest.mark.spec("R4 location.html#positional-search")
async def test_the_nearest_first_with_their_distances_and_in_pages(places: httpx.AsyncClient) -> None:
    first = (await places.get("/Location?near=52.52|13.4|30000&_sort=near&_count=2&_total=accurate")).json()
    assert first["total"] == len(PLACES)
    assert [entry["resource"]["id"] for entry in first["entry"]] == ["charite", "potsdam"]
    (extension,) = first["entry"][0]["search"]["extension"]
    assert extension["url"] == "http://hl7.org/fhir/StructureDefinition/location-distance"
    assert extension["valueDistance"] == pytest.approx(
        {"value": 1.63, "unit": "km", "system": "http://unitsofmeasure.org", "code": "km"}, abs=0.01
    )
    second = (await places.get(next(one["url"] for one in first["link"] if one["relation"] == "next"))).json()
    assert [entry["resource"]["id"] for entry in second["entry"]] == ["alert", "ninety-east"]
    assert (await found(places, "Location?near=52.52|13.4|30000&_sort=-near"))[0] == "suva"


@pytest.mark.spec("R4 location.html#positional-search")
async def test_near_beside_other_conditions(places: httpx.AsyncClient) -> None:
    assert await found(places, "Encounter?location.near=-18|178|60") == ["visit"]
    assert await found(places, "Encounter?location.near=-18|178|6") == []
    assert await found(places, "Location?near=52.52|13.4&name=pots") == ["potsdam"]
    assert await found(places, "Location?near:missing=true") == ["nowhere"]
    assert await found(places, "Location?_filter=near eq 52.52|13.4|2 or name eq suva") == ["charite", "suva"]


@pytest.mark.spec("R4 location.html#positional-search")
@pytest.mark.parametrize("near", BAD)
async def test_what_is_no_place_is_refused(places: httpx.AsyncClient, near: str) -> None:
    answer = await places.get("/Location", params={"near:missing" if not near else "near": near or "x"})
    assert answer.status_code == 400, answer.text
    assert (await places.get("/Location?_sort=near")).status_code == 400


DEGREES = st.floats(-90, 90), st.floats(-180, 180)


@given(*DEGREES, *DEGREES)
def test_a_distance_is_that_of_the_haversine_formula(north: float, east: float, other: float, there: float) -> None:
    a, b, c, d = map(math.radians, (north, east, other, there))
    part = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    expected = 2 * EARTH_RADIUS_METRES * math.asin(min(1, math.sqrt(part)))
    assert metres_between(point(north, east), point(other, there)) == pytest.approx(expected, abs=1)
