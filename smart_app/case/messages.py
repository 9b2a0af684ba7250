"""Messages on a case: Communications threaded on its Task, read and written with the sender's own token."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from smart_app.case.codes import own_code, own_system
from smart_app.case.view import Case
from smart_app.fhir import FhirClient, Found, Resource
from smart_app.words import code_in, person_name

Kind = Literal["message", "question", "answer"]
TITLES: Mapping[Kind, str] = {"message": "Message", "question": "Question", "answer": "Answer"}
LONGEST = 8000


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a page shows it; `updated` is the record server's moment, by which unread ones are told."""

    id: str
    sender: str
    name: str
    role: str
    text: str
    sent: str
    updated: str
    kind: str
    mine: bool
    unread: bool

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return f"message-{self.id}"


@dataclass(frozen=True)
class Thread:
    """The messages of a case, oldest first, as one person sees them."""

    messages: Sequence[Message]
    since: str = ""

    @property
    def unread(self) -> int:
        """How many are new to the reader."""
        return sum(each.unread for each in self.messages)

    @property
    def newest(self) -> str:
        """The moment of the newest, to be remembered once it was shown."""
        return max((each.updated for each in self.messages), default="")

    @property
    def question(self) -> Message | None:
        """The last question that was asked."""
        asked = [each for each in self.messages if each.kind == "question"]
        return asked[-1] if asked else None


async def load_thread(fhir: FhirClient, case: Case, reader: str, seen: str) -> Thread:
    """Read the messages of a case.  What the reader may not see is not among them."""
    parameters = {"based-on": case.reference, "_include": "Communication:sender", "_sort": "sent"}
    found = await fhir.search("Communication", parameters, most=500)
    return Thread(list(_messages(found, case, reader, seen)), seen)


async def unread_by_case(fhir: FhirClient, reader: str, marks: Mapping[str, str]) -> dict[str, int]:
    """How many messages to the reader are new, by case; the newest two hundred are looked at."""
    found = await fhir.search("Communication", {"recipient": reader, "_sort": "-sent"}, most=200)
    counts: dict[str, int] = {}
    for each in found.matches:
        case = case_of(each)
        if case and _updated(each) > marks.get(case, "") and _sender(each) != reader:
            counts[case] = counts.get(case, 0) + 1
    return counts


def communication(case: Case, sender: str, text: str, kind: Kind, sent: datetime) -> Resource:
    """A message to everybody who is named in the case; without an id."""
    recipients = [each for each in dict.fromkeys((case.requester, case.owner)) if each and each != sender]
    return {
        "resourceType": "Communication",
        "basedOn": [{"reference": case.reference}, {"reference": f"ServiceRequest/{case.request['id']}"}],
        "status": "completed",
        "category": [own_code("message", kind, TITLES[kind])],
        "subject": case.task["for"],
        "recipient": [{"reference": each} for each in recipients],
        "sent": sent.isoformat(timespec="milliseconds"),
        "sender": {"reference": sender},
        "payload": [{"contentString": text}],
    }


def case_of(message: Resource) -> str:
    """The id of the case that a message is threaded on."""
    named = (each.get("reference", "") for each in message.get("basedOn", []))
    return next((each.removeprefix("Task/") for each in named if each.startswith("Task/")), "")


def _messages(found: Found, case: Case, reader: str, seen: str) -> Iterable[Message]:
    people = {f"{each['resourceType']}/{each['id']}": each for each in found.included} | dict(case.people)
    for each in found.matches:
        sender = _sender(each)
        mine = sender == reader
        yield Message(
            id=each["id"],
            sender=sender,
            name=person_name(people.get(sender)),
            role=_role(case, sender),
            text="\n".join(part.get("contentString", "") for part in each.get("payload", [])),
            sent=each.get("sent", ""),
            updated=_updated(each),
            kind=next((code for one in each.get("category", []) if (code := code_in(one, own_system("message")))), ""),
            mine=mine,
            unread=not mine and _updated(each) > seen,
        )


def _role(case: Case, sender: str) -> str:
    """What the sender is in this case."""
    return {case.owner: "consultant", case.requester: "requester"}.get(sender, "second-opinion service")


def _sender(message: Resource) -> str:
    return str(message.get("sender", {}).get("reference", ""))


def _updated(message: Resource) -> str:
    return str(message.get("meta", {}).get("lastUpdated", ""))
