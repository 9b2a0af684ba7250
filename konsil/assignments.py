"""`name=value` on a command line, and tables on standard output: for the commands that change what is registered."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class NotAssigned(ValueError):
    """A text that is no assignment."""


def assigned(texts: Iterable[str]) -> dict[str, Any]:
    """Read assignments: JSON where the value is some (`true`, `["a"]`, `null`), else the text as it is.

    Raises NotAssigned.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise NotAssigned(f"not name=value: {text[:100]}")
        found[name] = _value(value)
    return found


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows in columns as wide as they need."""
    lines = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _value(text: str) -> Any:
    """JSON of a kind that is not written as a plain word or number by chance: an AE title may be 104."""
    if text[:1] in {"[", "{", '"'} or text in {"true", "false", "null"}:
        try:
            return json.loads(text)
        except ValueError as error:
            raise NotAssigned(f"no JSON: {text[:100]}") from error
    return text


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "" if value is None else str(value)
