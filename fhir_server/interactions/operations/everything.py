"""`Patient/$everything`, `Encounter/$everything`.

https://hl7.org/fhir/R4/patient-operation-everything.html, https://hl7.org/fhir/R4/encounter-operation-everything.html
"""

from urllib.parse import quote, urlencode

from fhir_server.errors import Invalid
from fhir_server.interactions.bundle import bundle, match_entry, outcome_entry
from fhir_server.interactions.cursor import seal, unseal
from fhir_server.interactions.events import AUDIT_EVENT, INCOMPLETE, listed_of
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import Parameters
from fhir_server.search.dates import date_range
from fhir_server.store.everything import COMPARTMENT, Everything, Place, everything
from fhir_server.store.repository import Version
from fhir_server.store.rows import next_row_id

NAMES = ("start", "end", "_since", "_type", "_count")


async def run(call: Invocation) -> Document:
    """The record of a patient or encounter: the compartment, then what it refers to, as the caller may see it.

    At most `_count` resources a page (default: the most that a page may have), then a `next` link; what is made after
    the first page does not come. At type level the patient is that of the launch. Raises Invalid, NotFound, Gone,
    Forbidden.
    """
    focus = await _focus(call)
    parameters = call.parameters
    address = f"{call.ctx.node.settings.fhir_url}/{focus.reference}/$everything"
    pairs = [(name, str(value)) for name in NAMES for value in parameters.all(name)]
    purpose = f"everything {address}?{urlencode(pairs)}"
    after, ceiling = _place(call, purpose)
    asked = _asked(parameters, focus, ceiling, call)
    count = _count(call)
    complete = await _events_listed(call, asked, first="_cursor" not in parameters.names)
    found = await everything(call.ctx.store, asked, after, count + 1)
    shown = found[:count]
    links = [("self", _url(address, pairs))]
    if len(found) > count > 0:
        last, part = shown[-1]
        cursor = seal(call.ctx.node.cursor_key, purpose, (part, last.row_id, ceiling))
        links.append(("next", _url(address, [*pairs, ("_cursor", cursor)])))
    base = call.ctx.node.settings.fhir_url
    entries = [match_entry(base, one, "match" if part == COMPARTMENT else "include") for one, part in shown]
    entries += [] if complete else [outcome_entry(INCOMPLETE)]
    matches = sum(part == COMPARTMENT for _, part in shown)
    whole = len(found) <= count and "_cursor" not in parameters.names
    return bundle("searchset", entries, links, matches if whole else None)


async def _events_listed(call: Invocation, asked: Everything, *, first: bool) -> bool:
    """Before the first page the AuditEvents that wait are listed, for who may see them; gives whether all are."""
    wanted = first and asked.focus[0] == "Patient" and (not asked.types or AUDIT_EVENT in asked.types)
    return not wanted or await listed_of(call.ctx, asked.focus[1])


async def _focus(call: Invocation) -> Version:
    """The patient or encounter, which the caller must be allowed to read."""
    resource_type, resource_id = str(call.resource_type), call.resource_id
    if resource_id is None and resource_type == "Patient":
        resource_id = call.ctx.caller.patient
    if resource_id is None:
        raise Invalid(f"Whose? Name it: {resource_type}/[id]/$everything.")
    return await call.ctx.store.read(resource_type, resource_id)


def _asked(parameters: Parameters, focus: Version, ceiling: int, call: Invocation) -> Everything:
    types = {name for text in parameters.all("_type") for name in str(text).split(",") if name}
    unknown = types - call.ctx.node.definitions.resource_types
    if unknown:
        raise Invalid(f"'{min(unknown)[:40]}' is no resource type of R4.")
    return Everything(
        focus=(focus.resource_type, focus.resource_id),
        patient=focus.patient,
        types=frozenset(types),
        since=_moment(parameters, "_since", 0),
        start=_moment(parameters, "start", 0),
        end=_moment(parameters, "end", 1),
        ceiling=ceiling,
    )


def _moment(parameters: Parameters, name: str, side: int) -> int | None:
    text = parameters.text(name)
    return None if text is None else date_range(text.replace(" ", "+"))[side]


def _count(call: Invocation) -> int:
    most = call.ctx.node.settings.max_page_size
    wanted = call.parameters.number("_count")
    return most if wanted is None else min(wanted, most)


def _place(call: Invocation, purpose: str) -> tuple[Place, int]:
    """Where this page starts, and the last resource that existed when the first page was read."""
    cursor = call.parameters.text("_cursor")
    if cursor is None:
        return (COMPARTMENT, 0), next_row_id()
    part, row_id, ceiling = unseal(call.ctx.node.cursor_key, purpose, cursor)
    return (part, row_id), ceiling


def _url(address: str, pairs: list[tuple[str, str]]) -> str:
    return address + (f"?{urlencode(pairs, quote_via=quote, safe=':,')}" if pairs else "")


OPERATIONS = (
    OperationDefinition("everything", run, ("Patient",), ("type", "instance"), (*NAMES, "_cursor")),
    OperationDefinition("everything", run, ("Encounter",), ("instance",), ("_since", "_type", "_count", "_cursor")),
)
