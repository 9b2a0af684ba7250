"""Which outside studies a request most likely needs, and why: rules, which are data.  Pure.

`profiles/prior-rules.json` unless `KONSIL_APP_PRIOR_RULES` names another file.  Only studies whose patient is the same
in every respect are suggested; what is suggested is ticked, and the physician changes it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

import profiles
from smart_app.case.view import Case
from smart_app.request.priors import Study


class Rule(BaseModel):
    """One rule: all that it names must hold; the first rule that holds gives the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    specialties: tuple[str, ...] = Field(default=(), description="beginnings of words in the service line's specialty")
    modalities: tuple[str, ...] = ()
    same_region: bool = False
    years: int | None = Field(default=None, gt=0, description="how old a study may be")
    reason: str = Field(min_length=1)


class Rules(BaseModel):
    """The file: `regions` are parts of the body with beginnings of the words that name them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regions: Mapping[str, tuple[str, ...]] = {}
    never: frozenset[str] = frozenset()
    at_most: int = Field(default=5, ge=0)
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """What the request is about: the service line's specialty, question and diagnosis in words, and the day."""

    specialty: str
    words: str
    today: date


def need_of(case: Case, today: date) -> Need:
    """What a case is about, once it has been sent."""
    words = " ".join((case.question, case.diagnosis, case.story, case.specialty))
    return Need(case.specialty, words, today)


@cache
def rules_from(path: Path | None) -> Rules:
    """Read the rules.  Raises OSError, pydantic.ValidationError."""
    if path is None:
        return Rules.model_validate(profiles.load("prior-rules.json"))
    return Rules.model_validate_json(path.read_bytes())


def reasons(rules: Rules, studies: Iterable[Study], need: Need) -> dict[str, str]:
    """Keys of the studies that a rule speaks for, whoever they may be of, each with its reason; the likeliest first."""
    asked = _regions(rules, need.words)
    ranked = []
    for study in studies:
        place = _first_that_holds(rules, study, (need, asked))
        if place is not None:
            ranked.append((place, study))
    ranked.sort(key=lambda each: each[1].day, reverse=True)
    ranked.sort(key=lambda each: each[0])
    return {study.key: rules.rules[place].reason for place, study in ranked}


def suggested(rules: Rules, studies: Iterable[Study], need: Need) -> dict[str, str]:
    """The same of surely the same person's studies: by rule in their order, then the newest, so many at most."""
    sure = [study for study in studies if study.match == "same"]
    return dict(list(reasons(rules, sure, need).items())[: rules.at_most])


def _first_that_holds(rules: Rules, study: Study, request: tuple[Need, set[str]]) -> int | None:
    if rules.never & set(study.modalities):
        return None
    need, asked = request
    shared = bool(asked & _regions(rules, study.description))
    for place, rule in enumerate(rules.rules):
        if (shared or not rule.same_region) and _holds(rule, study, need):
            return place
    return None


def _holds(rule: Rule, study: Study, need: Need) -> bool:
    if rule.specialties and not _names(rule.specialties, need.specialty):
        return False
    if rule.modalities and not set(rule.modalities) & set(study.modalities):
        return False
    return rule.years is None or _is_within(study.day, rule.years, need.today)


def _is_within(day: str, years: int, today: date) -> bool:
    try:
        return (today - date.fromisoformat(day)).days <= years * 366
    except ValueError:
        return False


def _regions(rules: Rules, text: str) -> set[str]:
    return {region for region, words in rules.regions.items() if _names(words, text)}


def _names(beginnings: Sequence[str], text: str) -> bool:
    """Whether a word of the text begins with one of these, in any case."""
    found = "|".join(re.escape(each.casefold()) for each in beginnings)
    return bool(found) and re.search(rf"\b(?:{found})", text.casefold()) is not None
