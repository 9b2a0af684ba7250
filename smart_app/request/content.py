"""What a request's draft holds, read from the posted form, and what it still lacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import FormData

from smart_app.case.codes import PRODUCTS, REASONS, URGENCIES

LONGEST_TEXT = 8000


class Attachment(BaseModel):
    """A file kept beside the draft."""

    model_config = ConfigDict(frozen=True)

    name: str
    content_type: str
    size: int
    sha256: str


class Content(BaseModel):
    """A request as far as it is written."""

    model_config = ConfigDict(frozen=True)

    case_number: str = ""
    reason: str = ""
    question: str = ""
    story: str = ""
    diagnosis: str = ""  # Condition/x of the chart
    diagnosis_text: str = ""
    service: str = ""  # HealthcareService/x
    product: str = "written-opinion"
    urgency: str = "routine"
    picks: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()  # keys of priors.Study
    suggested: tuple[str, ...] | None = None  # those that the last search ticked
    basis: Literal["", "treatment", "consent"] = ""
    attested: bool = False
    consent: Attachment | None = None
    prefilled: bool = False
    searched: bool = False
    window: str = ""  # the window that writes; the one that was opened last

    def changed(self, form: FormData) -> "Content":
        """This content with what the form says; a code that is not one of ours becomes empty."""
        texts = {name: _text(form, name) for name in ("question", "story", "diagnosis", "diagnosis_text", "service")}
        chosen = {
            "reason": _one_of(form, "reason", REASONS),
            "product": _one_of(form, "product", PRODUCTS) or self.product,
            "urgency": _one_of(form, "urgency", URGENCIES) or self.urgency,
            "basis": _one_of(form, "basis", {"treatment": "", "consent": ""}),
            "attested": _text(form, "attested") == "yes",
            "picks": tuple(str(value) for value in form.getlist("pick")),
        }
        if "searched" in form:
            chosen["studies"] = tuple(str(value) for value in form.getlist("study"))
        return self.model_copy(update={**texts, **chosen})


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the completeness list; what is not `needed` only advises."""

    title: str
    done: bool
    needed: bool
    anchor: str


def checklist(content: Content) -> list[Check]:
    """What the request needs before it can go, and what would help the reader."""
    basis = (content.basis == "treatment" and content.attested) or (
        content.basis == "consent" and bool(content.consent)
    )
    return [
        Check("The question", len(content.question.strip()) >= 10, True, "question"),
        Check("The reason", bool(content.reason), True, "reason"),
        Check(
            "The diagnosis in question", bool(content.diagnosis or content.diagnosis_text.strip()), True, "diagnosis"
        ),
        Check("Who is asked", bool(content.service), True, "service"),
        Check("Consent or treatment basis", basis, True, "basis"),
        Check("Records from the chart", bool(content.picks), False, "records"),
        Check("Prior imaging", bool(content.studies), False, "imaging"),
    ]


def lacking(content: Content) -> list[str]:
    """Titles of what is needed and not there."""
    return [check.title for check in checklist(content) if check.needed and not check.done]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value[:LONGEST_TEXT] if isinstance(value, str) else ""


def _one_of(form: FormData, name: str, known: Mapping[str, str]) -> str:
    value = _text(form, name)
    return value if value in known else ""
