"""The steps of a case after it was sent, each taken by the person whose step it is, at the story's moment."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID, uuid5

from anyio.to_thread import run_sync

from deploy.sandbox.cases import opinions
from deploy.sandbox.cases.asking import UIDS
from deploy.sandbox.cases.calendar import Fixed
from deploy.sandbox.cases.people import Caller, People
from deploy.sandbox.cases.story import Opinion as WrittenOpinion
from deploy.sandbox.cases.story import Story, Study
from smart_app.case import material
from smart_app.case.acting import Actor
from smart_app.case.material import Record
from smart_app.case.messages import Kind, communication, load_thread
from smart_app.case.retrieval import OPEN_STATES
from smart_app.case.view import Case, load_case
from smart_app.fhir import Resource
from smart_app.pages.reconcile import decided
from smart_app.report import amending, bundle, pdf
from smart_app.report.form import opinion_of
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import Opinion
from smart_app.report.signature import Signer
from smart_app.tenants import NamedKey

COORDINATOR, HIM = "castillo", "harper"
CORRECTED = "corrected"
GATHERING = frozenset({"awaiting-records", "reconciling"})


@dataclass(frozen=True)
class Step:
    """One step: the story, the case's id, the moment, who can sign in, and how often a question was asked before."""

    story: Story
    case_id: str
    clock: Fixed
    people: People
    key: NamedKey
    asked: int = 0

    async def requester(self) -> tuple[Caller, Case, Actor]:
        """Who asked, and the case as they see it."""
        return await self._by(await self.people.at_chart(self.story.requester, self.story.patient))

    async def ours(self, username: str) -> tuple[Caller, Case, Actor]:
        """Somebody of ours, and the case as they see it."""
        return await self._by(await self.people.of_ours(username))

    async def _by(self, caller: Caller) -> tuple[Caller, Case, Actor]:
        case = await load_case(caller.fhir, self.case_id)
        return caller, case, Actor(caller.fhir, caller.practitioner, self.clock)


async def await_records(step: Step) -> None:
    """HIM staff wait for records that come by another way than from an archive."""
    _, case, actor = await step.ours(HIM)
    await actor.step(case, "awaiting-records")


async def ready(step: Step) -> None:
    """The coordinator calls a request without imaging complete."""
    _, case, actor = await step.ours(COORDINATOR)
    await actor.step(case, "ready-for-triage")


async def offer(step: Step) -> None:
    """The coordinator offers it."""
    _, case, actor = await step.ours(COORDINATOR)
    await actor.step(case, "offered", owner={"reference": f"Practitioner/{step.story.consultant}"})


async def reject(step: Step) -> None:
    """The coordinator declines the request, with a reason."""
    _, case, actor = await step.ours(COORDINATOR)
    await actor.step(case, "declined", owner=None, statusReason={"text": step.story.because})


async def accept(step: Step) -> None:
    """The consultant takes the case."""
    _, case, actor = await step.ours(step.story.consultant)
    await actor.step(case, "assigned")


async def withdraw(step: Step) -> None:
    """The requester takes the request back."""
    _, case, actor = await step.requester()
    await actor.withdraw(case)


async def read_or_answer(step: Step) -> None:
    """The consultant begins to read; or the requester answers the last question, and reading goes on."""
    if not step.asked:
        _, case, actor = await step.ours(step.story.consultant)
        await actor.step(case, "in-review")
        return
    caller, case, actor = await step.requester()
    question = (await load_thread(caller.fhir, case, caller.practitioner, "")).question
    answer = message(step, caller, case, "answer", step.story.exchanges[step.asked - 1].answer)
    beside = {"inResponseTo": [{"reference": f"Communication/{question.id}"}]} if question else {}
    await actor.say(case, answer | beside, "in-review")


async def ask(step: Step) -> None:
    """The consultant asks a question."""
    caller, case, actor = await step.ours(step.story.consultant)
    text = step.story.exchanges[step.asked].question
    question = message(step, caller, case, "question", text)
    await actor.say(case, question, "info-requested", statusReason={"text": text})


def message(step: Step, caller: Caller, case: Case, kind: Kind, text: str) -> Resource:
    """A message whose id follows from case and place: sent twice it is one."""
    made = communication(case, caller.practitioner, text, kind, step.clock.now())
    return made | {"id": str(uuid5(UUID(case.id), f"{kind} {step.asked}"))}


async def sign(step: Step) -> None:
    """The consultant signs the report."""
    assert step.story.opinion is not None  # noqa: S101 - a test sees that a signed story has one
    caller, case, _ = await step.ours(step.story.consultant)
    opinion, paper, signing = await typeset(step, caller, case, step.story.opinion)
    await send(step, caller, bundle.unsigned(opinion, paper, signing), signing)


async def typeset(
    step: Step, caller: Caller, case: Case, written: WrittenOpinion, told: str = ""
) -> tuple[Opinion, bytes, bundle.Signing]:
    """The opinion on the case's records, on paper, and what is signed; `told` says what an amendment replaces."""
    records = await material.of(caller.fhir, case.task, case.request)
    opinion = opinion_of(opinions.content(written, records), records)
    head = await letterhead(caller.fhir, case, caller.practitioner, step.clock.now())
    paper = await run_sync(pdf.render, opinion, head.amending(told) if told else head, opinions.FONTS)
    reviewed = {each.reference for each in opinion.reviewed}
    signing = bundle.Signing(
        task=case.task,
        service_request=case.request,
        signer=caller.practitioner,
        when=step.clock.now(),
        instances=await opinions.instances(caller, records, reviewed),
        first_report=next((each.reference for each in records if is_first_opinion(each)), None),
        amends=told,
    )
    return opinion, paper, signing


async def send(step: Step, caller: Caller, unsigned: Resource, signing: bundle.Signing) -> None:
    """The signer gives the PIN for this very report, signs and sends."""
    given = await step.people.proved(caller, unsigned)
    signer = Signer(signing.signer, signing.when, signing.instances, given)
    await caller.fhir.transaction(bundle.signed(unsigned, signer, opinions.signing_key(step.key)))


def is_first_opinion(record: Record) -> bool:
    """A report of somebody's judgement; a laboratory panel is none."""
    categories = [code["code"] for each in record.resource.get("category", []) for code in each.get("coding", [])]
    return record.resource_type == "DiagnosticReport" and "LAB" not in categories


async def acknowledge(step: Step) -> None:
    """The requester has read the report."""
    _, case, actor = await step.requester()
    await actor.acknowledge(case)


async def amend(step: Step) -> None:
    """The consultant corrects the signed report."""
    assert step.story.amendment is not None  # noqa: S101 - a test sees that an amended story has one
    caller, case, _ = await step.ours(step.story.consultant)
    report = await caller.fhir.read(case.report.partition("/_history")[0])
    concordance = await caller.fhir.read(str(report["result"][0]["reference"]))
    title, day = amending.KINDS[CORRECTED][0], step.clock.day(str(report["issued"]))
    told = f"{title} to the report of {day}, which it replaces. {step.story.amended}"
    opinion, paper, signing = await typeset(step, caller, case, step.story.amendment, told)
    amendment = amending.Amendment(report, concordance, CORRECTED, step.story.amended)
    await send(step, caller, amending.unsigned(opinion, paper, signing, amendment), signing)


TO: dict[str, Callable[[Step], Awaitable[None]]] = {
    "awaiting-records": await_records,
    "ready-for-triage": ready,
    "offered": offer,
    "declined": reject,
    "withdrawn": withdraw,
    "assigned": accept,
    "in-review": read_or_answer,
    "info-requested": ask,
    "report-signed": sign,
    "acknowledged": acknowledge,
    "report-amended": amend,
}


async def gathered(step: Step) -> bool:
    """HIM staff decide on what has arrived; whether nothing more is to come before the story goes on.

    A study that was accepted for the patient before joins the case by itself: then nothing waits, and the gateway
    calls the case ready.
    """
    if not step.story.studies:
        return True
    caller, case, _ = await step.ours(HIM)
    undecided = [each for each in case.reconciliations() if each.get("status") in OPEN_STATES]
    for task in undecided:
        await decide(step, caller, task)
    if step.story.stage not in GATHERING:
        return case.state not in {"submitted", *GATHERING}
    arrived = sum(each.status == "completed" for each in case.retrievals())
    left_open = sum(not each.decided for each in step.story.studies)
    running = any(each.running for each in case.retrievals())
    return not running and len(case.reconciliations()) >= arrived and len(undecided) == left_open


async def decide(step: Step, caller: Caller, task: Resource) -> None:
    """One study's decision, if the story has one."""
    study = study_of(step.story, await caller.fhir.find(task.get("focus", {}).get("reference")))
    if study is None or not study.decided:
        return
    made = decided(task, "reject" if study.rejected else "accept", study.rejected, caller.practitioner)
    await caller.fhir.update(made)


def study_of(story: Story, resource: Resource | None) -> Study | None:
    """The story's study that an ImagingStudy is."""
    named = {each.get("value", "").removeprefix("urn:oid:") for each in (resource or {}).get("identifier", [])}
    return next((each for each in story.studies if UIDS[each.key] in named), None)
