"""Media types a client accepts, parsed and matched.  PS3.18 8.7, RFC 9110 12.5.1

A range such as `multipart/related; type="application/octet-stream"; transfer-syntax=*` is read with quoted and unquoted
parameters, as clients send both.  The query parameter `accept` comes before the header (PS3.18 8.3.3.1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ANY_SYNTAX = "*"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One acceptable media type: `kind/subtype`, its parameters without `q`, and its quality."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    @property
    def multipart(self) -> bool:
        """Whether the range asks for a multipart answer (PS3.18 8.6.1.2)."""
        return self.media_type == "multipart/related"

    @property
    def inner(self) -> str:
        """The type of the parts of a multipart range, else the type itself; `*/*` when nothing is said."""
        if not self.multipart:
            return self.media_type
        return self.parameters.get("type", "*/*").lower()

    @property
    def transfer_syntax(self) -> str | None:
        """The transfer syntax asked for, `*` for any, None when the range names none."""
        return self.parameters.get("transfer-syntax")

    def matches(self, offered: str) -> bool:
        """Whether `offered` (such as `image/png`) falls in this range, wildcards read."""
        kind, _, subtype = self.inner.partition("/")
        offered_kind, _, offered_subtype = offered.partition("/")
        return kind in {"*", offered_kind} and subtype in {"*", "", offered_subtype}


def split_quoted(text: str, separator: str) -> list[str]:
    """Split at `separator` outside double quotes; a backslash keeps the next character (RFC 9110 5.6.4)."""
    parts, current, quoted, escaped = [], "", False, False
    for character in text:
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(current)
            current = ""
            continue
        current += character
    return [part.strip() for part in [*parts, current] if part.strip()]


def unquote(value: str) -> str:
    """The value of a quoted string, or the token as it is."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


def parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, both lower case but for the parameters' values."""
    media_type, *rest = split_quoted(text, ";") or [""]
    pairs = (part.partition("=") for part in rest)
    return media_type.strip().lower(), {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def parse_accept(values: Iterable[str]) -> list[MediaRange]:
    """Ranges of one or more Accept values, best first; equal qualities keep their order; `q=0` is left out."""
    ranges = [parse_range(item) for value in values for item in split_quoted(value, ",")]
    return sorted((item for item in ranges if item.quality > 0), key=lambda item: -item.quality)


def parse_range(text: str) -> MediaRange:
    """One member of an Accept list; a quality that is no number counts as 1."""
    media_type, parameters = parse_media_type(text)
    quality = parameters.pop("q", "1")
    try:
        number = float(quality)
    except ValueError:
        number = 1.0
    return MediaRange(media_type, parameters, min(max(number, 0.0), 1.0))


def accepted(query: Sequence[str], header: Sequence[str]) -> list[MediaRange]:
    """What the client accepts: query parameter before header; nothing said means anything.  PS3.18 8.3.3.1

    Browsers turn an unescaped `+` of the query (`application/dicom+json`) into a blank: it is read back as `+`.
    """
    asked = parse_accept(value.replace("dicom json", "dicom+json").replace("dicom xml", "dicom+xml") for value in query)
    return asked or parse_accept(header) or [MediaRange("*/*")]
