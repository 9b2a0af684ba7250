"""Strings.  https://hl7.org/fhirpath/N1/#string-manipulation"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath.functions.function import Function, with_values, without_scope
from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.operators import MOST_CHARACTERS
from fhir_server.fhirpath.values import boolean, integer, text

GROUP = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def pattern(source: str) -> re.Pattern[str]:
    """A regular expression, its dot matching line ends too. Raises ExpressionError."""
    try:
        return re.compile(source, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ExpressionError(f"This is no regular expression: {error}.") from None


def _string(value: str) -> list[Node]:
    return [("System.String", value)]


def _on_text(function: Callable[..., list[Node]], fewest: int = 0, most: int | None = None) -> Function:
    """A function of one string: nothing when it, or an argument that must be there, is missing."""

    def evaluate(nodes: list[Node], *arguments: list[Node]) -> list[Node]:
        subject = text(nodes)
        if subject is None or any(not argument for argument in arguments[:fewest]):
            return []
        return function(subject, *arguments)

    return with_values(evaluate, fewest, most) if fewest or most else without_scope(evaluate)


def _with_text(function: Callable[[str, str], Any], wrap: Callable[[Any], list[Node]]) -> Function:
    return _on_text(lambda subject, other: wrap(function(subject, text(other) or "")), 1)


def _integer(value: int) -> list[Node]:
    return [("System.Integer", value)]


def _substring(subject: str, start: list[Node], *length: list[Node]) -> list[Node]:
    first = integer(start)
    if first is None or not 0 <= first < len(subject):
        return []
    size = integer(length[0]) if length else None
    return _string(subject[first:] if size is None else subject[first : first + max(0, size)])


def _replace(subject: str, old: list[Node], new: list[Node]) -> list[Node]:
    replaced = subject.replace(text(old) or "", text(new) or "")
    if len(replaced) > MOST_CHARACTERS:
        raise ExpressionError("The text becomes too long.")
    return _string(replaced)


def _replace_matches(subject: str, regex: list[Node], new: list[Node]) -> list[Node]:
    replacement = GROUP.sub(r"\\g<\1>", (text(new) or "").replace("\\", r"\\"))
    return _string(pattern(text(regex) or "").sub(replacement, subject))


def _split(subject: str, separator: list[Node]) -> list[Node]:
    between = text(separator)
    return [node for part in (subject.split(between) if between else list(subject)) for node in _string(part)]


def _join(nodes: list[Node], *separator: list[Node]) -> list[Node]:
    between = text(separator[0]) or "" if separator else ""
    return _string(between.join(str(value) for _, value in nodes)) if nodes else []


FUNCTIONS: dict[str, Function] = {
    "indexOf": _with_text(lambda subject, other: subject.find(other), _integer),
    "lastIndexOf": _with_text(lambda subject, other: subject.rfind(other), _integer),
    "substring": _on_text(_substring, 1, 2),
    "startsWith": _with_text(str.startswith, boolean),
    "endsWith": _with_text(str.endswith, boolean),
    "contains": _with_text(lambda subject, other: other in subject, boolean),
    "upper": _on_text(lambda subject: _string(subject.upper())),
    "lower": _on_text(lambda subject: _string(subject.lower())),
    "trim": _on_text(lambda subject: _string(subject.strip())),
    "length": _on_text(lambda subject: _integer(len(subject))),
    "toChars": _on_text(lambda subject: [node for one in subject for node in _string(one)]),
    "matches": _with_text(lambda subject, regex: pattern(regex).search(subject) is not None, boolean),
    "matchesFull": _with_text(lambda subject, regex: pattern(regex).fullmatch(subject) is not None, boolean),
    "replace": _on_text(_replace, 2),
    "replaceMatches": _on_text(_replace_matches, 2),
    "split": _on_text(_split, 1),
    "join": with_values(_join, 0, 1),
}
