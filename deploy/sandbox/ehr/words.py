"""How the EHR says things: names, dates, ages, values."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from deploy.sandbox.charts.catalogue import Resource


def names_of(patient: Resource, native: bool) -> list[Resource]:
    """The names in another script, or those in Latin letters."""
    return [name for name in patient.get("name", []) if is_native(name) == native and name.get("use") != "maiden"]


def is_native(name: Resource) -> bool:
    """Whether a name is written in its own, not in Latin, script."""
    letters = [letter for letter in f"{name.get('family', '')}{name.get('text', '')}" if letter.isalpha()]
    return any(letter > "\u036f" and not "\u1e00" <= letter <= "\u1eff" for letter in letters)


def full_name(patient: Resource) -> str:
    """Family name, given names."""
    name = next(iter(names_of(patient, native=False)), {})
    return f"{name.get('family', '')}, {' '.join(name.get('given', []))}".strip(", ")


def native_name(patient: Resource) -> str:
    """The name in its own script, or nothing."""
    return next((str(name.get("text", "")) for name in names_of(patient, native=True)), "")


def name_text(name: Resource) -> str:
    """A HumanName in words."""
    return str(name.get("text") or " ".join([*name.get("given", []), name.get("family", "")])).strip()


def native_language(patient: Resource) -> str:
    """The language tag of the name in its own script: the name's own, else the language the patient prefers."""
    name = next(iter(names_of(patient, native=True)), {})
    given = next((str(each["valueCode"]) for each in name.get("extension", []) if each["url"].endswith("language")), "")
    spoken = [each for each in patient.get("communication", []) if each.get("preferred")]
    return given or next((str(coded["code"]) for each in spoken for coded in each["language"].get("coding", [])), "")


def direction(language: str) -> str:
    """The direction in which a language is written."""
    return "rtl" if language.partition("-")[0] in RIGHT_TO_LEFT else "ltr"


def initials(patient: Resource) -> str:
    """Two letters for the picture."""
    name = next(iter(names_of(patient, native=False)), {})
    return f"{name.get('given', ['?'])[0][:1]}{name.get('family', '?')[:1]}".upper()


def age(born: str, today: date | None = None) -> str:
    """Whole years since a birth date."""
    day = date.fromisoformat(born)
    now = today or datetime.now(tz=UTC).date()
    return str(now.year - day.year - ((now.month, now.day) < (day.month, day.day)))


def day(moment: str | None) -> str:
    """A FHIR date or dateTime as MM/DD/YYYY, as far as it is given."""
    parts = (moment or "").partition("T")[0].split("-")
    return "/".join([*parts[1:], parts[0]]) if parts != [""] else ""


def concept(value: Mapping[str, Any] | None) -> str:
    """A CodeableConcept in words."""
    if not value:
        return ""
    codings = value.get("coding", [])
    return str(value.get("text") or next((each["display"] for each in codings if "display" in each), ""))


def record_number(patient: Resource) -> str:
    """The identifier typed MR."""
    for identifier in patient.get("identifier", []):
        if any(coding.get("code") == "MR" for coding in identifier.get("type", {}).get("coding", [])):
            return str(identifier.get("value", ""))
    return ""


def number(value: object, decimals: int | None = None) -> str:
    """A quantity's value without needless zeros, or with so many decimals."""
    exact = float(str(value))
    return f"{exact:g}" if decimals is None else format(exact, f".{decimals}f")


KINDS = {"application/pdf": "PDF", "text/plain": "Text", "text/html": "Text"}


def kind(content_type: str) -> str:
    """What a document is, in a word."""
    return KINDS.get(str(content_type).partition(";")[0], "C-CDA" if "xml" in str(content_type) else "Document")


RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})

FILTERS: dict[str, Callable[..., str]] = {
    "full_name": full_name,
    "native_name": native_name,
    "native_language": native_language,
    "direction": direction,
    "kind": kind,
    "initials": initials,
    "age": age,
    "day": day,
    "concept": concept,
    "record_number": record_number,
    "number": number,
}
