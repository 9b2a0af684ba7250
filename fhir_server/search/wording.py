"""What `_text` and `_content` ask: `(bone OR liver) AND "metastatic disease"`.  https://hl7.org/fhir/R4/search.html#content

Words stand for themselves, `metasta*` for all that begin so, quotation marks around words that follow each other. AND
(or nothing), OR and NOT in any case, NOT before AND before OR, with brackets. A comma parts alternatives, as elsewhere.
"""

import re

from fhir_server.errors import Invalid
from fhir_server.search.query import Clause, Condition, Logic, TextValue
from fhir_server.search.registry import Parameter
from fhir_server.search.values import split, unescape
from fhir_server.search.words import words_of

TOKEN = re.compile(r'\s*(?:([()])|"([^"]*)"|([^\s()"]+))')
MOST_TERMS, MAX_DEPTH = 50, 20
BEGINS = "begins"


def wanted_words(parameter: Parameter, text: str) -> Condition:
    """The condition that a text means. Raises Invalid."""
    return _one("or", [_Reading(parameter, unescape(part)).whole() for part in split(text, ",")])


class _Reading:
    """Recursive descent over the words, of which the last one comes first."""

    def __init__(self, parameter: Parameter, text: str) -> None:
        self.parameter = parameter
        self.tokens = [match.groups() for match in TOKEN.finditer(text)][::-1]
        if text.count('"') % 2 or not 0 < len(self.tokens) <= MOST_TERMS * 3:
            raise Invalid(f"{parameter.code} is words, and with quotation marks in pairs; at most {MOST_TERMS}.")

    def whole(self) -> Condition:
        found = self._alternatives(0)
        if self.tokens:
            raise Invalid(f"{self.parameter.code}: a bracket is closed that is not open.")
        return found

    def _alternatives(self, depth: int) -> Condition:
        parts = [self._together(depth)]
        while self._take("or"):
            parts.append(self._together(depth))
        return _one("or", parts)

    def _together(self, depth: int) -> Condition:
        parts = [self._single(depth)]
        while self._take("and") or (self.tokens and not self._is("or") and self.tokens[-1][0] != ")"):
            parts.append(self._single(depth))
        return _one("and", parts)

    def _single(self, depth: int) -> Condition:
        if depth > MAX_DEPTH or not self.tokens or self._is("and") or self._is("or"):
            raise Invalid(f"{self.parameter.code}: a word is missing, or brackets are deeper than {MAX_DEPTH}.")
        if self._take("not"):
            return Logic("not", (self._single(depth + 1),))
        bracket, quoted, bare = self.tokens.pop()
        if bracket is None:
            return self._words(quoted if bare is None else bare, begins=bare is not None and bare.endswith("*"))
        inner = self._alternatives(depth + 1) if bracket == "(" else None
        if inner is None or not self.tokens or self.tokens.pop()[0] != ")":
            raise Invalid(f"{self.parameter.code}: brackets do not match.")
        return inner

    def _words(self, text: str, *, begins: bool) -> Condition:
        words = " ".join(words_of(text))
        if not words:
            raise Invalid(f"{self.parameter.code}: there is no word in '{text[:40]}'.")
        return Clause(self.parameter, BEGINS if begins else None, (TextValue(words),))

    def _is(self, word: str) -> bool:
        return bool(self.tokens) and (self.tokens[-1][2] or "").lower() == word

    def _take(self, word: str) -> bool:
        there = self._is(word)
        if there:
            self.tokens.pop()
        return there


def _one(operator: str, parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else Logic("or" if operator == "or" else "and", tuple(parts))
