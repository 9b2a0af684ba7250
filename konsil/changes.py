"""What was changed of something that administrators look after: kept in words, never a secret; and as an AuditEvent."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

DCM = "http://dicom.nema.org/resources/ontology/DCM"
Details = list[tuple[str, str]]
LONGEST_TEXT = 1000
NOTHING, REPLACED = "nothing", "another one"


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any], secret: Collection[str] = ()) -> Details:
    """Members that differ, each as `from → to`; of a member in `secret` only that it is another one."""
    old = before or {}
    changed = [name for name in after if old.get(name) != after[name]]
    return [(name, _told(name in secret, before is None, old.get(name), after[name])) for name in changed]


def change_event(source: tuple[Mapping[str, Any], str], thing: str, what: str, details: Details) -> dict[str, Any]:
    """A change as an AuditEvent.  DICOM PS3.15 A.5.3.10, 110137; IHE BALP has no pattern for it.

    `source`: who did it (`AuditEvent.agent.who`), and the address of the program; `thing`: kind and name.
    """
    who, server = source
    entity: dict[str, Any] = {"role": {"code": "13"}, "type": {"code": "2"}, "name": thing}
    entity["role"]["system"] = "http://terminology.hl7.org/CodeSystem/object-role"
    entity["type"]["system"] = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
    if details:
        entity["detail"] = [{"type": member, "valueString": text} for member, text in details]
    return {
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": "110113", "display": "Security Alert"},
        "subtype": [{"system": DCM, "code": "110137", "display": "User security Attributes Changed"}],
        "action": "E",
        "recorded": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "outcome": "0",
        "outcomeDesc": f"{thing} {what}",
        "agent": [{"who": dict(who), "requestor": True}],
        "source": {"observer": {"identifier": {"value": server}}},
        "entity": [entity],
    }


def in_words(value: Any) -> str:
    """A value as a text of bounded length."""
    if isinstance(value, Mapping):
        value = [f"{name}={in_words(each)}" for name, each in value.items()]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        value = " ".join(sorted(map(str, value)) if isinstance(value, set | frozenset) else map(str, value))
    return NOTHING if value in (None, "") else str(value)[:LONGEST_TEXT]


def _told(secret: bool, new: bool, old: Any, value: Any) -> str:
    if secret:
        return NOTHING if value is None else REPLACED
    return in_words(value) if new else f"{in_words(old)} → {in_words(value)}"
