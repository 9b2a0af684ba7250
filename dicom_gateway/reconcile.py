"""Reconciliation: the outside record beside the local patient, each difference explained.  Pure.

The gateway decides nothing: it shows HIM staff what agrees, what nearly agrees and why, and what differs.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from dicom_gateway.attributes import issuer, name_groups, text
from dicom_gateway.publish.fhir import Resource

Verdict = Literal["same", "near", "different", "missing"]
SEXES = {"male": "M", "female": "F", "other": "O"}
REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
MR = "MR"
FORMER = frozenset({"maiden", "old"})
LETTERS = str.maketrans({"ß": "ss", "ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
TITLES = {
    "PatientName": "Name",
    "PatientBirthDate": "Birth date",
    "PatientSex": "Sex",
    "PatientID": "Record number",
    "IssuerOfPatientID": "Issued by",
}
SPELLING = "The names agree but for accents, hyphens, apostrophes or where given names are split."
ARTICLES = frozenset({"al", "el", "ar", "as", "ash", "at", "ad", "an", "az"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a record says the patient is, in DICOM's words.

    `other_ids` are (id, issuer) known beside, `other_names` former ones, such as a maiden name.
    """

    name: str
    birth_date: str
    sex: str
    patient_id: str
    issuer: str
    other_ids: tuple[tuple[str, str], ...] = ()
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute on both sides, and what the difference is."""

    keyword: str
    outside: str
    local: str
    verdict: Verdict
    explanation: str

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.keyword]

    @property
    def tag(self) -> str:
        """Its tag as people read it."""
        return written_tag(self.keyword)


def written_tag(keyword: str) -> str:
    """`(gggg,eeee)` of a keyword."""
    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def outside_identity(ds: Dataset) -> Identity:
    """Who the data set says the patient is."""
    return Identity(
        name=text(ds, "PatientName"),
        birth_date=text(ds, "PatientBirthDate"),
        sex=text(ds, "PatientSex"),
        patient_id=text(ds, "PatientID"),
        issuer=issuer(ds),
    )


def local_identity(patient: Resource, id_domains: dict[str, str]) -> Identity:
    """Who our Patient is.  The id is of the first configured domain that the patient has one in, else the record
    number.

    `id_domains`: identifier system -> issuer of patient id.
    """
    names = patient.get("name", [])
    known = [(item, domain_of(item, id_domains)) for item in patient.get("identifier", []) if item.get("value")]
    ranked = sorted(known, key=lambda entry: rank(entry[0], id_domains))
    ids = [(str(item["value"]), domain) for item, domain in ranked]
    first = ids[0] if ids else (str(patient.get("id", "")), "")
    birth_date = str(patient.get("birthDate", "")).replace("-", "")
    return Identity(
        name=dicom_name([name for name in names if name.get("use") not in FORMER]),
        other_names=tuple(components(name) for name in names if name.get("use") in FORMER),
        birth_date=birth_date if len(birth_date) == 8 else "",
        sex=SEXES.get(str(patient.get("gender")), ""),
        patient_id=first[0],
        issuer=first[1],
        other_ids=tuple(ids[1:]),
    )


def rank(identifier: Resource, id_domains: dict[str, str]) -> tuple[int, int]:
    """Configured domains come first, in their order; then record numbers; then the rest."""
    systems = [*id_domains]
    system = identifier.get("system", "")
    codes = {item.get("code") for item in identifier.get("type", {}).get("coding", [])}
    place = systems.index(system) if system in systems else len(systems)
    return place, 0 if MR in codes else 1


def domain_of(identifier: Resource, id_domains: dict[str, str]) -> str:
    """Who issued an identifier, as DICOM names issuers: by configuration, else its assigner, else its system."""
    system = str(identifier.get("system", ""))
    return (
        id_domains.get(system)
        or str(identifier.get("assigner", {}).get("display", ""))
        or system.removeprefix("urn:oid:")
    )


def dicom_name(names: list[Resource]) -> str:
    """HumanNames as one PN: alphabetic, ideographic, phonetic.  PS3.5 6.2.1

    The representation extension says which is which; without it a name with letters beyond Latin, Greek and Cyrillic
    is ideographic when a Latin one stands beside it.
    """
    groups = {"ABC": "", "IDE": "", "SYL": ""}
    for name in sorted(names, key=lambda item: item.get("use") != "official"):
        kind = representation(name) or ("IDE" if is_ideographic(family_of(name)) else "ABC")
        groups[kind] = groups[kind] or components(name)
    if not groups["ABC"] and groups["IDE"] and not representation(names[0]):
        return groups["IDE"]
    return "=".join(groups.values()).rstrip("=")


def representation(name: Resource) -> str | None:
    """ABC, IDE or SYL, where the name says so."""
    found = (item.get("valueCode") for item in name.get("extension", []) if item.get("url") == REPRESENTATION)
    return next((code for code in found if code in {"ABC", "IDE", "SYL"}), None)


def family_of(name: Resource) -> str:
    """The family name, or the text when there is none."""
    return str(name.get("family") or name.get("text") or "")


def is_ideographic(value: str) -> bool:
    """Whether a name is written in Han, kana or hangul."""
    return any("\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af" for letter in value)


def components(name: Resource) -> str:
    """family^given^middle^prefix^suffix of one HumanName."""
    given = [*name.get("given", []), "", ""]
    parts = [family_of(name), given[0], " ".join(part for part in given[1:] if part)]
    parts += [" ".join(name.get("prefix", [])), " ".join(name.get("suffix", []))]
    return "^".join(part.replace("^", " ").replace("=", " ").replace("\\", " ") for part in parts).rstrip("^")


def compare(outside: Identity, local: Identity) -> list[Difference]:
    """Each identifying attribute on both sides, with a word on how they differ."""
    return [
        compare_all_names(outside.name, local),
        compare_dates(outside.birth_date, local.birth_date),
        compare_sex(outside.sex, local.sex),
        compare_ids(outside, local),
        compare_issuers(outside, local),
    ]


def compare_all_names(outside: str, local: Identity) -> Difference:
    """The present name, then former ones."""
    found = compare_names(outside, local.name)
    if found.verdict == "different" and any(
        compare_names(outside, name).verdict != "different" for name in local.other_names
    ):
        return Difference("PatientName", outside, local.name, "near", "The outside record has a former name.")
    return found


def compare_names(outside: str, local: str) -> Difference:
    """Names by component group: any group in common will do, as scripts differ between houses."""
    if not outside or not local:
        return Difference("PatientName", outside, local, "missing", "One side has no name.")
    ours, theirs = ([group for group in name_groups(name) if group] for name in (local, outside))
    if set(ours) & set(theirs):
        return Difference("PatientName", outside, local, "same", "The names agree.")
    pairs = [(a, b) for a in theirs for b in ours if is_ideographic(a) == is_ideographic(b)]
    for a, b in pairs:
        explanation = near_names(a, b)
        if explanation:
            return Difference("PatientName", outside, local, "near", explanation)
    if not pairs:
        return Difference("PatientName", outside, local, "missing", "The names are written in different scripts.")
    return Difference("PatientName", outside, local, "different", "The names differ.")


def plain(name: str) -> str:
    """Letters without accents, words without hyphens: as systems write names that know ASCII alone."""
    letters = unicodedata.normalize("NFKD", name.translate(LETTERS))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).replace("-", " ").replace("'", "")


def near_names(a: str, b: str) -> str | None:
    """How two unequal names resemble each other, None when they do not."""
    if written_plainly(a) == written_plainly(b):
        return SPELLING
    first, second = ([*plain(name).split("^"), "", ""][:3] for name in (a, b))
    if sorted(" ".join(first).split()) == sorted(" ".join(second).split()):
        return "The same names in another order."
    if first[0] == second[0]:
        return near_given(first[1], second[1])
    if family_forms(first[0]) & family_forms(second[0]) and near_given(first[1], second[1]):
        return "The family name agrees but for blanks or an article; the given names are the same or nearly so."
    if first[1] == second[1] and one_apart(first[0], second[0]):
        return "The given name agrees; the family name differs by one letter."
    return None


def written_plainly(name: str) -> tuple[str, list[str]]:
    """Family name, and the given names as words, as `plain` writes them; prefix and suffix do not count."""
    family, given, middle = [*plain(name).split("^"), "", ""][:3]
    return " ".join(family.split()), f"{given} {middle}".split()


def family_forms(plain_name: str) -> set[str]:
    """A family name in one word, and without its Arabic article: houses transliterate Al-Rashid in several ways."""
    words = plain_name.split()
    without = words[1:] if words and words[0].casefold() in ARTICLES else words
    return {"".join(each) for each in (words, without) if each}


def near_given(a: str, b: str) -> str | None:
    """How two given names under one family name resemble each other."""
    if a == b:
        return "Family and given name agree; middle name or titles differ."
    if a and b and (a.startswith(b) or b.startswith(a)):
        return "The family name agrees; one given name is part of the other."
    return "The family name agrees; the given name differs by one letter." if one_apart(a, b) else None


def one_apart(a: str, b: str) -> bool:
    """Whether two words differ by one letter added, left out, changed, or by two neighbours exchanged."""
    if abs(len(a) - len(b)) > 1 or min(len(a), len(b)) < 3:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest = (a[start:], b[start:])
    exchanged = len(rest[0]) > 1 and rest[0][:2] == rest[1][:2][::-1] and rest[0][2:] == rest[1][2:]
    return exchanged or rest[0][1:] == rest[1][1:] or rest[0][1:] == rest[1] or rest[0] == rest[1][1:]


def compare_dates(outside: str, local: str) -> Difference:
    """Birth dates."""
    if not outside or not local:
        return Difference("PatientBirthDate", outside, local, "missing", "One side has no birth date.")
    if outside == local:
        return Difference("PatientBirthDate", outside, local, "same", "The birth dates agree.")
    if outside[:4] == local[:4] and outside[4:6] == local[6:8] and outside[6:8] == local[4:6]:
        return Difference("PatientBirthDate", outside, local, "near", "Day and month are exchanged.")
    if sum(x != y for x, y in zip(outside, local, strict=False)) == 1 and len(outside) == len(local):
        return Difference("PatientBirthDate", outside, local, "near", "One digit differs.")
    return Difference("PatientBirthDate", outside, local, "different", "The birth dates differ.")


def compare_sex(outside: str, local: str) -> Difference:
    """Administrative sex; `O` and an empty value say nothing."""
    if not outside or not local or "O" in {outside, local}:
        return Difference(
            "PatientSex", outside, local, "same" if outside == local else "missing", "One side does not say."
        )
    if outside == local:
        return Difference("PatientSex", outside, local, "same", "The sexes agree.")
    return Difference("PatientSex", outside, local, "different", "The sexes differ.")


def compare_ids(outside: Identity, local: Identity) -> Difference:
    """Record numbers: of one issuer they must agree; of two issuers they tell nothing, even when equal."""
    ids = ((local.patient_id, local.issuer), *local.other_ids)
    shown = (outside.patient_id, local.patient_id)
    if (outside.patient_id, outside.issuer) in ids and outside.patient_id:
        return Difference("PatientID", *shown, "same", "The local record knows this number of this issuer.")
    if outside.issuer and outside.issuer in {domain for _, domain in ids}:
        return Difference("PatientID", *shown, "different", "The same issuer has given another number.")
    return Difference("PatientID", *shown, "missing", "The numbers come from different houses.")


def compare_issuers(outside: Identity, local: Identity) -> Difference:
    """Issuers of the record numbers."""
    shown = (outside.issuer, local.issuer)
    if not outside.issuer:
        return Difference("IssuerOfPatientID", *shown, "missing", "The outside record does not name the issuer.")
    same = outside.issuer == local.issuer
    return Difference(
        "IssuerOfPatientID", *shown, "same" if same else "missing", "Same house." if same else "Another house."
    )


def verdict(differences: Iterable[Difference]) -> tuple[Verdict, str]:
    """The whole in one word and one sentence."""
    found = {item.keyword: item for item in differences}
    core = [found[keyword] for keyword in ("PatientName", "PatientBirthDate", "PatientSex")]
    different = [item.title.lower() for item in found.values() if item.verdict == "different"]
    if different:
        return "different", f"Differs in {' and '.join(different)}: look closely before you accept."
    near = [item.title.lower() for item in core if item.verdict == "near"]
    silent = [item.title.lower() for item in core if item.verdict == "missing"]
    if near or silent:
        said = [f"{' and '.join(near)} nearly equal"] if near else []
        said += [f"{' and '.join(silent)} not stated on both sides"] if silent else []
        return "near", f"{', '.join(said)}.".capitalize()
    return "same", "Name, birth date and sex agree."
