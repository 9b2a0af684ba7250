"""Codes against the value sets that they are bound to.  https://hl7.org/fhir/R4/terminologies.html#binding"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.terminology.membership import Terminology
from fhir_server.validation.report import Report, quoted

Check = Callable[[Any, str, Report], None]
CHECKED = frozenset({"required", "extensible"})
MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
# CapabilityStatement.format and the like may name a format of FHIR by its short name.
MIME_TYPES = "http://hl7.org/fhir/ValueSet/mimetypes"
SHORT_NAMES = frozenset({"json", "xml", "ttl", "html"})
TEXT = frozenset({"code", "string", "uri", "url", "canonical", "markdown", "id", "oid"})


def bound(binding: Mapping[str, Any], type_: str, terminology: Terminology) -> Check | None:
    """A check of one value of a type, None where the binding asks for nothing.

    What is not required may be limited to a wider value set, which then is required.
    """
    limit = _widest(binding) if binding.get("strength") != "required" else None
    own = _bound_to(binding.get("valueSet"), binding.get("strength"), type_, terminology)
    outer = None if limit is None else _bound_to(limit, "required", type_, terminology)
    if own is None or outer is None:
        return own or outer

    def both(value: Any, place: str, report: Report) -> None:
        own(value, place, report)
        outer(value, place, report)

    return both


def _widest(binding: Mapping[str, Any]) -> str | None:
    """R4 extension-elementdefinition-maxvalueset.html"""
    found = (one for one in binding.get("extension", ()) if one.get("url") == MAX_VALUE_SET)
    return next((one.get("valueCanonical") or one.get("valueUri") for one in found), None)


def _bound_to(value_set: str | None, strength: str | None, type_: str, terminology: Terminology) -> Check | None:
    if value_set is None or strength not in CHECKED or type_ not in READERS:
        return None
    read, required = READERS[type_], strength == "required"
    member = terminology.is_member
    short = SHORT_NAMES if value_set.startswith(MIME_TYPES) else frozenset()

    def check(value: Any, place: str, report: Report) -> None:
        codings = read(value)
        answers = [member(value_set, system, code) for system, code in codings]
        if True in answers or (short and value in short):
            return
        if not required and not report.thorough:
            return
        _complain(answers, codings, (value_set, required), place, report)

    return check


def _complain(
    answers: list[bool | None],
    codings: list[tuple[str | None, str]],
    binding: tuple[str, bool],
    place: str,
    report: Report,
) -> None:
    value_set, required = binding
    if None in answers:
        report.hint("not-found", f"Whether the code is in {value_set} cannot be told here.", place)
    elif not codings:
        if required:
            report.error("code-invalid", f"A code of {value_set} is needed.", place)
    elif required:
        names = ", ".join(quoted(code) for _, code in codings[:3])
        report.error("code-invalid", f"{names}: not in the value set {value_set}, which is required here.", place)
    else:
        report.warning("code-invalid", f"The code is not in {value_set}; is there really none that fits?", place)


def _of_text(value: Any) -> list[tuple[str | None, str]]:
    return [(None, value)] if isinstance(value, str) else []


def _of_coding(value: Any) -> list[tuple[str | None, str]]:
    if not isinstance(value, dict) or not isinstance(value.get("code"), str):
        return []
    system = value.get("system")
    return [(system if isinstance(system, str) else "", value["code"])]


def _of_concept(value: Any) -> list[tuple[str | None, str]]:
    codings = value.get("coding") if isinstance(value, dict) else None
    return [pair for coding in codings for pair in _of_coding(coding)] if isinstance(codings, list) else []


READERS: dict[str, Callable[[Any], list[tuple[str | None, str]]]] = {
    **dict.fromkeys(TEXT, _of_text),
    **dict.fromkeys(("Coding", "Quantity", "Age", "Duration", "Count", "Distance", "SimpleQuantity"), _of_coding),
    "CodeableConcept": _of_concept,
}
