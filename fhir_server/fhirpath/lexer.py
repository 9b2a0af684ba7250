"""Tokens of FHIRPath.  https://hl7.org/fhirpath/N1/grammar.html"""

import re
from dataclasses import dataclass

MAX_LENGTH = 100_000
SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
TIME = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
ZONE = r"(?:Z|[+-]\d\d:\d\d)"
TOKEN = re.compile(
    rf"(?P<datetime>@\d{{4}}(?:-\d\d(?:-\d\d)?)?T(?:{TIME}{ZONE}?)?)"
    r"|(?P<date>@\d{4}(?:-\d\d(?:-\d\d)?)?)"
    rf"|(?P<time>@T{TIME})"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<variable>%(?:[A-Za-z_][\w-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    r"|(?P<name>[A-Za-z_]\w*|\$(?:this|index|total)|`(?:[^`\\]|\\.)*`)"
    r"|(?P<symbol><=|>=|!=|!~|[-+*/&|=~<>.,()\[\]{}])"
)
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class ExpressionError(ValueError):
    """An expression that is not FHIRPath, or that cannot be evaluated on what it was given."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `quoted` when a name stood in backquotes and so is no keyword."""

    kind: str
    text: str
    quoted: bool = False


def tokens_of(text: str) -> list[Token]:
    """Cut an expression into tokens, the last one of the kind `end`. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"An expression may have {MAX_LENGTH} characters.")
    found: list[Token] = []
    position = _after_space(text, 0)
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"'{text[position : position + 20]}' is no FHIRPath, at character {position}.")
        found.append(_token(str(match.lastgroup), match.group()))
        position = _after_space(text, match.end())
    return [*found, Token("end", "")]


def _after_space(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def _token(kind: str, text: str) -> Token:
    if kind == "string":
        return Token(kind, unescaped(text[1:-1]))
    if kind == "name" and text[0] == "`":
        return Token(kind, unescaped(text[1:-1]), quoted=True)
    if kind == "variable":
        return Token(kind, unescaped(text[2:-1]) if text[1] in "`'\"" else text[1:])
    return Token(kind, text.lstrip("@") if kind in {"date", "datetime", "time"} else text)


def unescaped(text: str) -> str:
    r"""A string without its escapes: `\'` `\n` `\u0041`."""
    return ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if len(code) == 5 else ESCAPED.get(code, code)
