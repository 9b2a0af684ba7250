"""What a case of the demo is: who asks what, about whom, and how far it has come.  Data only; `engine` makes it so."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from smart_app.request.desk import NUMBER_LETTERS

Stage = Literal[
    "draft",
    "submitted",
    "awaiting-records",
    "reconciling",
    "ready-for-triage",
    "offered",
    "assigned",
    "in-review",
    "info-requested",
    "report-signed",
    "acknowledged",
    "report-amended",
    "declined",
    "withdrawn",
]


@dataclass(frozen=True)
class Opinion:
    """What a consultant writes.  `{MR Brain}` in a finding cites the newest record with these words in its title.

    `concordance` holds the five values in the order of the form: diagnosis, treatment, confidence, adequacy of the
    data, first subspecialty review.
    """

    answer: str
    findings: tuple[str, ...]
    recommendations: tuple[str, ...]
    patient_version: str
    concordance: tuple[str, str, str, str, str]
    reviewed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """A consultant's question and, once there is one, the requester's answer."""

    question: str
    answer: str = ""


@dataclass(frozen=True)
class Study:
    """An outside study to fetch: its key in the imaging catalogue, and what HIM staff decide.

    `rejected` is the reason for a rejection; a study that is not `decided` waits in the inbox.  One that was `told` is
    asked for as the archive's desk named it on the telephone: no search finds it under this patient.
    """

    key: str
    told: bool = False
    decided: bool = True
    rejected: str = ""


@dataclass(frozen=True)
class Story:
    """One case.  `days` ago it was asked; its last step so far was `since` days ago.

    `diagnosis` is the name of a problem of the chart.  Of `opinion` only what is written goes into a draft while the
    case is being read; `amendment` is the whole opinion after correction, `amended` says what was corrected;
    `because` is the coordinator's reason to decline.  `released`: it rests on the patient's signed release, instead of
    on treatment.
    """

    key: str
    patient: str
    requester: str
    service: str
    question: str
    story: str
    diagnosis: str
    reason: str
    stage: Stage
    days: float
    since: float = 0.0
    product: str = "written-opinion"
    urgency: str = "routine"
    consultant: str = ""
    studies: tuple[Study, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    opinion: Opinion | None = None
    amendment: Opinion | None = None
    amended: str = ""
    because: str = ""
    released: bool = False

    @property
    def road(self) -> tuple[Stage, ...]:
        """The states after sending that people bring the case to, in order; fetching from archives is left out."""
        if self.stage == "awaiting-records" and not self.studies:
            return (self.stage,)
        if self.stage in ("draft", "submitted", "awaiting-records", "reconciling"):
            return ()
        if self.stage in ("ready-for-triage", "declined", "withdrawn"):
            gathered = self.stage == "ready-for-triage" and bool(self.studies)
            return () if gathered else (self.stage,)
        whole: tuple[Stage, ...] = ("offered", "assigned", "in-review")
        for each in self.exchanges:
            whole += ("info-requested", "in-review") if each.answer else ("info-requested",)
        whole += ("report-signed", "acknowledged", "report-amended")
        return whole[: len(whole) - whole[::-1].index(self.stage)]

    @property
    def number(self) -> str:
        """The case's number, the same every time: whether the case is there already is asked by it."""
        digest = hashlib.sha256(f"konsil sandbox {self.key}".encode()).digest()
        letters = "".join(NUMBER_LETTERS[byte % len(NUMBER_LETTERS)] for byte in digest[:8])
        return f"K-{letters[:4]}-{letters[4:]}"
