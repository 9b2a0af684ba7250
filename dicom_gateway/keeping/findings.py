"""What a verification finds: kinds of damage, each with what it means and whether it can be mended."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of disagreement."""

    OBJECT_MISSING = "object-missing"
    OBJECT_CHANGED = "object-changed"
    OBJECT_UNKNOWN = "object-unknown"
    INSTANCE_WITHOUT_VERSION = "instance-without-version"
    INDEX_DIFFERS = "index-differs"
    JOURNAL_TORN = "journal-torn"
    FHIR_MISSING = "fhir-missing"
    FHIR_DIFFERS = "fhir-differs"
    FHIR_UNKNOWN = "fhir-unknown"


MEANING = {
    Kind.OBJECT_MISSING: "the index names objects that the archive lacks: bring them back from a backup, or fetch anew",
    Kind.OBJECT_CHANGED: "objects whose bytes are not those that came: bring them back from a backup, or fetch anew",
    Kind.OBJECT_UNKNOWN: "objects of the archive that the index does not know; repair indexes them",
    Kind.INSTANCE_WITHOUT_VERSION: "instances of which no version counts; repair lets the original count",
    Kind.INDEX_DIFFERS: "instances that the index describes otherwise than their object; repair follows the object",
    Kind.JOURNAL_TORN: "journal parts with a broken record; repair takes in what is whole in them",
    Kind.FHIR_MISSING: "studies without ImagingStudy; repair publishes them",
    Kind.FHIR_DIFFERS: "ImagingStudy resources that list other instances than the index; repair follows the index",
    Kind.FHIR_UNKNOWN: "ImagingStudy resources of this gateway whose study it does not hold",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: what, where (a key, a UID or an id: never a name), and whether repair has mended it."""

    kind: Kind
    subject: str
    mended: bool = False
