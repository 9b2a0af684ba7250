"""A consultant's opinion from the words of a story: citations resolved, typeset, signed."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, import_key

import smart_app
from deploy.sandbox.cases.people import Caller
from deploy.sandbox.cases.story import Opinion
from smart_app.case.material import Record
from smart_app.case.view import Case
from smart_app.report.letterhead import person_of, title
from smart_app.report.opinion import QUESTIONS, Letterhead
from smart_app.tenants import NamedKey
from smart_app.words import Clock, person_name

FONTS = Path(smart_app.__file__).parent / "static" / "vendor" / "fonts"
CITED = re.compile(r"\{([^}]+)\}")


class NotCitable(Exception):
    """The case has no record with such words in its title."""


def record_named(words: str, records: Sequence[Record]) -> Record:
    """The newest record whose title or kind of content holds these words.  Raises NotCitable."""
    fitting = [each for each in records if words.lower() in each.title.lower()]
    if not fitting:
        raise NotCitable(words)
    return max(fitting, key=lambda each: (each.date, each.number))


def with_numbers(line: str, records: Sequence[Record]) -> str:
    """A line with its citations as numbers: `{MR brain}` becomes `[4]`."""
    return CITED.sub(lambda found: f"[{record_named(found.group(1), records).number}]", line)


def content(opinion: Opinion, records: Sequence[Record]) -> dict[str, Any]:
    """The report's form, filled in."""
    return {
        "answer": opinion.answer,
        "findings": "\n".join(with_numbers(line, records) for line in opinion.findings),
        "recommendations": "\n".join(opinion.recommendations),
        "patient_version": opinion.patient_version,
        "concordance": dict(zip(QUESTIONS, opinion.concordance, strict=True)),
        "reviewed": [record_named(words, records).reference for words in opinion.reviewed],
    }


def signing_key(named: NamedKey) -> ECKey:
    """The app's key, by which it signs for whoever signed in."""
    key = import_key(named.key)
    assert isinstance(key, ECKey)  # noqa: S101 - made by deploy.sandbox.keys
    return key


async def letterhead(caller: Caller, case: Case, clock: Clock) -> Letterhead:
    """What stands around the opinion on paper."""
    author = await caller.fhir.find(caller.practitioner)
    roles = await caller.fhir.search("PractitionerRole", {"practitioner": caller.practitioner})
    role = roles.matches[0] if roles.matches else {}
    organization = await caller.fhir.find(role.get("organization", {}).get("reference"))
    return Letterhead(
        person=person_of(case.patient),
        question=case.question,
        case_number=case.number,
        asked_by=case.name_of(case.requester),
        author=person_name(author) if author else caller.name,
        author_title=title(author, role),
        organization=(organization or {}).get("name", ""),
        signed_at=clock.now(),
    )


async def instances(caller: Caller, records: Sequence[Record], references: set[str]) -> list[str]:
    """SOP Instance UIDs of the reviewed studies, as available now."""
    found: list[str] = []
    for each in records:
        if each.study_instance_uid and each.reference in references:
            found += await caller.gateway.instances(each.study_instance_uid)
    return sorted(found)
