"""`_filter`: conditions with `and`, `or`, `not` and brackets.  https://hl7.org/fhir/R4/search_filter.html

A filter is read into a tree first. Then each comparison becomes the condition that the same parameter has without
`_filter`, so it is indexed, chained and kept to what the caller may see in the same way. A filter within a path
(`subject[gender eq male].birthdate`) is asked of the resource that the reference leads to.
"""

import re
from dataclasses import dataclass
from typing import Literal

from fhir_server.errors import Invalid

NAME = re.compile(r"\s*([A-Za-z_][\w:-]*)", re.ASCII)
OPERATOR = re.compile(r"\s+([a-z]{2})(?=\s)")
TEXT = re.compile(r'\s+"((?:[^"\\]|\\.)*)"', re.DOTALL)
BARE = re.compile(r'\s+([^\s()"]+)')
BARE_WITHIN = re.compile(r'\s+([^\s()"\]]+)')
MARK = {mark: re.compile(rf"\s*{re.escape(mark)}") for mark in "()]"}
NOT = re.compile(r"\s*not\s*\(")
JOIN = re.compile(r"\s*\b(and|or)(?=[\s(])")
MAX_TERMS = 200
MAX_DEPTH = 30


@dataclass(frozen=True, slots=True)
class Step:
    """A name of a path, and the filter within."""

    name: str
    within: "Filter | None" = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path, an operator and a value; `quoted` when it is a text in quotation marks."""

    path: tuple[Step, ...]
    operator: str
    value: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Filters joined, or one negated."""

    operator: Literal["and", "or", "not"]
    parts: tuple["Filter", ...]


Filter = Comparison | Joined


def read_filter(text: str) -> Filter:
    """The tree of a filter. Raises Invalid."""
    reading = _Reading(text.rstrip())
    found = reading.filter(0)
    if reading.place < len(reading.text):
        raise Invalid(f"_filter: '{reading.rest}' stands where nothing was expected.")
    return found


class _Reading:
    """Recursive descent. `and` and `or` are read from left to right, neither before the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.terms = 0
        self.brackets = 0

    @property
    def rest(self) -> str:
        return self.text[self.place : self.place + 40].strip()

    def filter(self, depth: int) -> Filter:
        found, changes = self._operand(depth), 0
        while word := self._take(JOIN):
            operator: Literal["and", "or"] = "and" if word == "and" else "or"
            other = self._operand(depth)
            if isinstance(found, Joined) and found.operator == operator and changes:
                found = Joined(operator, (*found.parts, other))
                continue
            found, changes = Joined(operator, (found, other)), changes + 1
            if depth + changes > MAX_DEPTH:
                raise Invalid(f"_filter: and and or may take turns {MAX_DEPTH} times.")
        return found

    def _operand(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise Invalid(f"_filter: brackets may be {MAX_DEPTH} deep.")
        negated = self._matches(NOT)
        if not negated and not self._matches(MARK["("]):
            return self._comparison(depth)
        inner = self.filter(depth + 1)
        if not self._matches(MARK[")"]):
            raise Invalid(f"_filter: a bracket is not closed before '{self.rest}'.")
        return Joined("not", (inner,)) if negated else inner

    def _comparison(self, depth: int) -> Comparison:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise Invalid(f"_filter: a filter may have {MAX_TERMS} comparisons.")
        path, operator = self._path(depth), self._take(OPERATOR)
        if operator is None:
            raise Invalid(f"_filter: an operator is missing before '{self.rest}'.")
        quoted = self._take(TEXT)
        if quoted is not None:
            return Comparison(path, operator, re.sub(r"\\(.)", r"\1", quoted), True)
        value = self._take(BARE_WITHIN if self.brackets else BARE)
        if value is None:
            raise Invalid(f"_filter: a value is missing before '{self.rest}'.")
        return Comparison(path, operator, value, False)

    def _path(self, depth: int) -> tuple[Step, ...]:
        steps = [self._step(depth)]
        while self.text[self.place : self.place + 1] == ".":
            self.place += 1
            steps.append(self._step(depth))
        if steps[-1].within is not None:
            raise Invalid("_filter: what follows a filter within a path is a dot and a name.")
        return tuple(steps)

    def _step(self, depth: int) -> Step:
        name = self._take(NAME)
        if name is None:
            raise Invalid(f"_filter: a parameter is missing before '{self.rest}'.")
        if self.text[self.place : self.place + 1] != "[":
            return Step(name)
        self.place, self.brackets = self.place + 1, self.brackets + 1
        within = self.filter(depth + 1)
        if not self._matches(MARK["]"]):
            raise Invalid(f"_filter: a bracket is not closed before '{self.rest}'.")
        self.brackets -= 1
        return Step(name, within)

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.place)
        if match is None:
            return None
        self.place = match.end()
        return match[1]

    def _matches(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self.text, self.place)
        self.place = match.end() if match else self.place
        return match is not None
