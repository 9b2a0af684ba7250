"""`_filter`: conditions with `and`, `or`, `not` and brackets.  https://hl7.org/fhir/R4/search_filter.html

Each comparison becomes the condition that the same parameter has without `_filter`, so it is indexed, chained (by dots)
and kept to what the caller may see in the same way. Filters inside a path (`name[use eq official].family`) and the
operators `ew`, `po` and `re` are refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.errors import Invalid
from fhir_server.search.query import Condition, Logic

TOKEN = re.compile(r'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)
MAX_TERMS = 200
MAX_DEPTH = 30
ORDERED = frozenset({"date", "number", "quantity"})
PREFIXES = frozenset({"gt", "lt", "ge", "le", "sa", "eb", "ap"})
# Operators that are modifiers, and of which types.
MODIFIERS = {
    "co": ("contains", {"string"}),
    "in": ("in", {"token"}),
    "ni": ("not-in", {"token"}),
    "ss": ("above", {"token", "uri"}),
    "sb": ("below", {"token", "uri"}),
}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a filter; `quoted` when it is a text in quotation marks."""

    text: str
    quoted: bool = False


# The condition of a parameter with its value, and the type of a parameter at the end of a chain.
Build = Callable[[str, str], Condition]
TypeOf = Callable[[str], str]


def parse_filter(text: str, build: Build, type_of: TypeOf) -> Condition:
    """The condition that a filter means. Raises Invalid."""
    reading = _Reading(_words(text), build, type_of)
    condition = reading.alternatives(0)
    if reading.words:
        raise Invalid(f"_filter: '{reading.words[-1].text[:40]}' stands where nothing was expected.")
    return condition


def _words(text: str) -> list[Word]:
    """The words, last one first."""
    found, place, text = [], 0, text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise Invalid(f"_filter: a quotation mark is missing at '{text[place : place + 20]}'.")
        bracket, quoted, bare = match.groups()
        found.append(Word(bracket or bare) if quoted is None else Word(re.sub(r"\\(.)", r"\1", quoted), quoted=True))
        place = match.end()
        if len(found) > MAX_TERMS * 4:
            raise Invalid(f"_filter: a filter may have {MAX_TERMS} comparisons.")
    return found[::-1]


class _Reading:
    """Recursive descent: `or` binds less than `and`, `not` stands before brackets."""

    def __init__(self, words: list[Word], build: Build, type_of: TypeOf) -> None:
        self.words = words
        self.build = build
        self.type_of = type_of

    def alternatives(self, depth: int) -> Condition:
        return self._joined("or", lambda: self._joined("and", lambda: self._operand(depth)))

    def _joined(self, operator: str, operand: Callable[[], Condition]) -> Condition:
        parts = [operand()]
        while self.words and self.words[-1] == Word(operator):
            self.words.pop()
            parts.append(operand())
        return parts[0] if len(parts) == 1 else Logic("or" if operator == "or" else "and", tuple(parts))

    def _operand(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise Invalid(f"_filter: brackets may be {MAX_DEPTH} deep.")
        word = self._next()
        negated = word == Word("not") and bool(self.words) and self.words[-1] == Word("(")
        if negated:
            word = self._next()
        if word != Word("("):
            return self._comparison(word)
        inner = self.alternatives(depth + 1)
        if self._next() != Word(")"):
            raise Invalid("_filter: a bracket is not closed.")
        return Logic("not", (inner,)) if negated else inner

    def _comparison(self, path: Word) -> Condition:
        operator, value = self._next(), self._next()
        if path.quoted or not re.fullmatch(r"[\w.:-]+", path.text, re.ASCII) or value in {Word("("), Word(")")}:
            raise Invalid(f"_filter: '{path.text[:40]}' is no parameter with operator and value.")
        if operator.text == "pr":
            return self.build(f"{path.text}:missing", {"true": "false", "false": "true"}.get(value.text, value.text))
        return self._compared(path.text, operator.text, _escaped(value))

    def _compared(self, path: str, operator: str, value: str) -> Condition:
        type_ = self.type_of(path)
        if operator == "ne" and type_ not in ORDERED:
            return Logic("not", (self._compared(path, "eq", value),))
        if operator in {"eq", "ne"}:
            named = f"{path}:exact" if type_ == "string" else path
            return self.build(named, operator + value if type_ in ORDERED else value)
        if operator == "sw" and type_ == "string":
            return self.build(path, value)
        if operator in PREFIXES and type_ in ORDERED:
            return self.build(path, operator + value)
        modifier, types = MODIFIERS.get(operator, ("", set()))
        if type_ not in types:
            raise Invalid(f"_filter: the operator '{operator[:20]}' is not offered for {path[:60]} ({type_}).")
        return self.build(f"{path}:{modifier}", value)

    def _next(self) -> Word:
        if not self.words:
            raise Invalid("_filter: it ends too early.")
        return self.words.pop()


def _escaped(value: Word) -> str:
    """As a search value: a text holds no separators, of what is bare only `|` parts a system from a code."""
    return re.sub(r"([\\,$|])" if value.quoted else r"([\\,$])", r"\\\1", value.text)
