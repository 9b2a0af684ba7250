"""Whether a hospital's addresses answer, and what it can take back, as it says itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from smart_app.tenants import base_url

SECONDS = 10
WRITTEN_BACK = "DocumentReference"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was asked, and what came of it."""

    asked: str
    good: bool
    found: str


async def probe(http: httpx.AsyncClient, values: Mapping[str, Any]) -> list[Line]:
    """Ask for the CapabilityStatement, the SMART configuration and the keys.  No token is sent."""
    base = base_url(str(values["fhir_base"]))
    asked: list[tuple[str, str, Callable[[dict[str, Any]], str]]] = [
        ("CapabilityStatement", f"{base}/metadata", _server),
        ("Write-back", f"{base}/metadata", _write_back),
        ("SMART launch", f"{base}/.well-known/smart-configuration", _smart),
        ("Keys", str(values["jwks_url"]), _keys),
    ]
    return await asyncio.gather(*(_line(name, _json(http, url), read) for name, url, read in asked))


class Unfit(ValueError):
    """An answer that does not say what is needed."""


async def _line(name: str, answer: Awaitable[dict[str, Any]], read: Callable[[dict[str, Any]], str]) -> Line:
    try:
        return Line(name, True, read(await answer))
    except (httpx.HTTPError, ValueError) as error:
        return Line(name, False, str(error)[:200] or "no answer")


async def _json(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await http.get(url, headers={"Accept": "application/fhir+json, application/json"}, timeout=SECONDS)
    if answer.status_code != httpx.codes.OK:
        raise Unfit(f"It answered {answer.status_code}.")
    found = answer.json()
    if not isinstance(found, dict):
        raise Unfit("The answer is not a JSON object.")
    return found


def _server(found: Mapping[str, Any]) -> str:
    if found.get("resourceType") != "CapabilityStatement":
        raise Unfit("The answer is no CapabilityStatement.")
    software = found.get("software", {})
    named = " ".join(str(software[each]) for each in ("name", "version") if software.get(each)) or "unnamed software"
    return f"{named}, FHIR {found.get('fhirVersion', 'of no stated version')}"


def _write_back(found: Mapping[str, Any]) -> str:
    """What may be done with DocumentReference, by which reports go back."""
    rest: Mapping[str, Any] = next(iter(found.get("rest") or ()), {})
    resource = next((each for each in rest.get("resource", ()) if each.get("type") == WRITTEN_BACK), None)
    can = sorted({str(each.get("code")) for each in (resource or {}).get("interaction", ())})
    if "create" not in can:
        raise Unfit(f"It does not say that {WRITTEN_BACK} can be created: reports cannot go back.")
    return f"{WRITTEN_BACK}: {', '.join(can)}"


def _smart(found: Mapping[str, Any]) -> str:
    missing = {"authorization_endpoint", "token_endpoint"} - found.keys()
    if missing:
        raise Unfit(f"It does not name {' and '.join(sorted(missing))}.")
    able = found.get("capabilities") or ()
    return f"{len(able)} capabilities{', EHR launch' if 'launch-ehr' in able else ', but no EHR launch'}"


def _keys(found: Mapping[str, Any]) -> str:
    kids = [str(each.get("kid", "without kid")) for each in found.get("keys") or ()]
    if not kids:
        raise Unfit("There is no key.")
    return f"{len(kids)}: {', '.join(kids)}"
