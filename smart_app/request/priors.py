"""Prior imaging outside, as the gateway finds it in the outside archives.  Pure."""

from dataclasses import dataclass, field
from typing import Any

from smart_app.words import counted


@dataclass(frozen=True, slots=True)
class Study:
    """A study that an outside archive offers; `differences` name what does not equal the local patient."""

    peer: str
    study_instance_uid: str
    date: str = ""
    time: str = ""
    modalities: tuple[str, ...] = ()
    description: str = ""
    series: int | None = None
    instances: int | None = None
    patient_name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    match: str = "near"
    differences: tuple[str, ...] = ()
    explanations: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """How a draft names the study."""
        return f"{self.peer}|{self.study_instance_uid}"

    @property
    def day(self) -> str:
        """The study date as FHIR writes dates; DICOM's `20260103` becomes `2026-01-03`."""
        return _fhir_date(self.date)

    @property
    def title(self) -> str:
        """`CT Thorax with contrast`."""
        kinds = " ".join(self.modalities)
        said = kinds and self.description.upper().startswith(f"{kinds} ".upper())
        parts = (self.description,) if said else (kinds, self.description)
        return " ".join(part for part in parts if part) or "Study without a description"

    @property
    def filed_as(self) -> str:
        """The name over there, as people write it: `Lefevre Munoz, Renee`.  PS3.5 6.2.1.1"""
        groups = [group for group in self.patient_name.split("=") if group.strip("^ ")]
        return " / ".join(_person_name(group) for group in groups) or "(no name)"

    @property
    def born(self) -> str:
        """The birth date over there, as FHIR writes dates."""
        return _fhir_date(self.birth_date)

    @property
    def size(self) -> str:
        """`50 images in 3 series`."""
        if not self.instances:
            return ""
        inside = f" in {self.series} series" if self.series and self.series > 1 else ""
        return f"{counted(self.instances, 'image')}{inside}"


@dataclass(frozen=True, slots=True)
class Peer:
    """An outside archive and how it took the question: asked, ok, failed, or closed at this hour."""

    name: str
    title: str
    state: str
    cause: str = ""
    remedy: str = ""

    @property
    def answered(self) -> bool:
        """Whether it was asked and answered."""
        return self.state == "ok"


@dataclass(frozen=True)
class Priors:
    """The answer of a search."""

    peers: list[Peer] = field(default_factory=list)
    studies: list[Study] = field(default_factory=list)

    @property
    def answered(self) -> list[str]:
        """Titles of the archives that answered."""
        return [peer.title for peer in self.peers if peer.answered]

    @property
    def silent(self) -> list[Peer]:
        """Archives whose answer is still to come; of a search that has ended, those that it did not wait for."""
        return [peer for peer in self.peers if peer.state == "asked"]

    def held_by(self, peer: Peer) -> int:
        """How many studies an archive holds."""
        return sum(study.peer == peer.name for study in self.studies)

    def peer_title(self, name: str) -> str:
        """An archive's name for people."""
        return next((peer.title for peer in self.peers if peer.name == name), name)


def priors_from(content: Any) -> Priors:
    """Read the gateway's answer; newest studies first, whatever is unknown left out."""
    peers = [Peer(**_known(each, Peer)) for each in content.get("peers", [])]
    studies = [Study(**_tupled(_known(each, Study))) for each in content.get("studies", [])]
    return Priors(peers, sorted(studies, key=lambda study: study.day, reverse=True))


def with_told(content: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """What is known of a search once an archive has said something: its last word counts."""
    name = told["peer"]["name"]
    peers = [told["peer"] if each["name"] == name else each for each in content.get("peers", [])]
    if name not in {each["name"] for each in peers}:
        peers.append(told["peer"])
    others = [study for study in content.get("studies", []) if study["peer"] != name]
    return {"peers": peers, "studies": [*others, *told["studies"]]}


def _fhir_date(value: str) -> str:
    plain = value.replace("-", "")
    return f"{plain[:4]}-{plain[4:6]}-{plain[6:8]}" if len(plain) == 8 and plain.isdigit() else value


def _person_name(group: str) -> str:
    """Family, given and middle, prefix and suffix of one component group."""
    family, given, middle, prefix, suffix = [*(part.strip() for part in group.split("^")), "", "", "", "", ""][:5]
    others = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return ", ".join(part for part in (family, others) if part)


def _known(content: dict[str, Any], kind: Any) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name in kind.__dataclass_fields__ and value is not None}


def _tupled(content: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
