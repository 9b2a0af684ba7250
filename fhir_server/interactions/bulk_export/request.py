"""Kick-off of an export: its parameters as data.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.context import Context, Node
from fhir_server.errors import Forbidden, Invalid
from fhir_server.interactions.operations.parameters import Parameters
from fhir_server.scopes import parse_all
from fhir_server.search.dates import date_range
from fhir_server.search.query import Query

FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
TAKEN = frozenset({"_outputFormat", "_since", "_type", "_elements", "_typeFilter", "patient"})
NOT_ASKED_FOR = frozenset({"AuditEvent", "Provenance"})
PATIENTS_AT_ONCE = 200
# An id that no resource has: what a group without members is about.
NOBODY = ("",)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to export: `whole` the system, else what is about patients (`patients` empty: all of them) and those of the
    other types that were named; only these elements; `filters` are searches, `Type?query`.
    """

    whole: bool
    types: tuple[str, ...]
    patients: tuple[str, ...]
    since: int | None
    elements: tuple[str, ...]
    filters: tuple[str, ...]
    ceiling: int

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Asked":
        """Out of its row."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()
        }
        return cls(**values)

    def narrowed_to(self, members: tuple[str, ...]) -> "Asked":
        """Of these patients only. Raises Invalid for a patient who is not among them."""
        if set(self.patients) - set(members):
            raise Invalid("A patient that is named is no member of the group.")
        return replace(self, patients=self.patients or members or NOBODY)

    def kept(self) -> dict[str, Any]:
        """For its row."""
        return asdict(self)

    def parts(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """The work in order: output or deleted, type, whose."""
        starts = range(0, len(self.patients), PATIENTS_AT_ONCE)
        groups = [self.patients[start : start + PATIENTS_AT_ONCE] for start in starts] or [()]
        kinds = ["output"] if self.since is None else ["output", "deleted"]
        return [(kind, name, group) for kind in kinds for name in self.types for group in groups]

    def queries(self, node: Node, resource_type: str) -> list[Query]:
        """The filters of a type. Raises Invalid."""
        return [query for text in self.filters if (query := _filter(node, text)).types[0] == resource_type]


def asked_for(ctx: Context, parameters: Parameters, level: str, lenient: bool, ceiling: int) -> Asked:
    """Read the parameters of a system, Patient or Group export. Raises Invalid, Forbidden."""
    unknown = parameters.names - TAKEN
    if unknown and not lenient:
        raise Invalid(f"$export has no parameter '{min(unknown)[:40]}'; Prefer: handling=lenient passes it over.")
    if parameters.text("_outputFormat") not in {None, *FORMATS}:
        raise Invalid("The files of an export are application/fhir+ndjson.")
    if "patient" in parameters.names and level == "system":
        raise Invalid("'patient' is for exports of Patient or of a Group.")
    since = parameters.text("_since")
    asked = Asked(
        whole=level == "system",
        types=_types(ctx, parameters, level),
        patients=tuple(sorted({_patient(each) for each in parameters.all("patient")})),
        since=None if since is None else date_range(since.replace(" ", "+"))[0],
        elements=tuple(_words(parameters, "_elements")),
        filters=tuple(str(each) for each in parameters.all("_typeFilter")),
        ceiling=ceiling,
    )
    for text in asked.filters:
        if _filter(ctx.node, text).types[0] not in asked.types:
            raise Invalid("A _typeFilter speaks of a type that is not exported.")
    return asked


def members(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The patients of a Group: those that are members now.  R4 group.html"""
    references = (
        str(each.get("entity", {}).get("reference", ""))
        for each in content.get("member", ())
        if not each.get("inactive")
    )
    return tuple(sorted({one.removeprefix("Patient/") for one in references if one.startswith("Patient/")}))


def _types(ctx: Context, parameters: Parameters, level: str) -> tuple[str, ...]:
    """Those named, else all of the level that the caller may search. Raises Invalid, Forbidden."""
    known = ctx.node.definitions.resource_types
    named = _words(parameters, "_type")
    unknown = set(named) - known
    if unknown:
        raise Invalid(f"'{min(unknown)[:40]}' is no resource type of R4.")
    if named:
        if refused := sorted(name for name in named if not _may(ctx, name)):
            raise Forbidden(f"No scope of this token allows to search {refused[0]}.")
        return tuple(sorted(set(named)))
    every = known if level == "system" else {"Patient", *ctx.node.definitions.compartments["Patient"]}
    allowed = tuple(sorted(name for name in every - NOT_ASKED_FOR if _may(ctx, name)))
    if not allowed:
        raise Forbidden("No type of resource may be exported with this token.")
    return allowed


def _may(ctx: Context, resource_type: str) -> bool:
    """Whether a scope speaks of it: what everybody may look up is not for everybody to carry off."""
    if not any(scope.covers(resource_type, "s") for scope in parse_all(ctx.caller.scopes)):
        return False
    try:
        ctx.grants.restriction("search", resource_type)
    except Forbidden:
        return False
    return True


def _words(parameters: Parameters, name: str) -> list[str]:
    return [word.strip() for text in parameters.all(name) for word in str(text).split(",") if word.strip()]


def _patient(value: Any) -> str:
    """The id of a Reference(Patient). Raises Invalid."""
    reference = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(reference, str) or not reference.startswith("Patient/"):
        raise Invalid("'patient' is a reference to a Patient here, in the body of a POST.")
    return reference.removeprefix("Patient/")


def _filter(node: Node, text: str) -> Query:
    """A search that narrows a type: conditions only. Raises Invalid."""
    resource_type, mark, rest = text.partition("?")
    if not mark or resource_type not in node.definitions.resource_types:
        raise Invalid("A _typeFilter is a search: Type?parameter=value.")
    query = node.parser.parse(resource_type, parse_qsl(rest, keep_blank_values=True))
    if query.includes or query.sort or query.cursor or query.elements:
        raise Invalid("A _typeFilter has conditions alone: no _include, _sort or _elements.")
    return query
