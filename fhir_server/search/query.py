"""A search as data.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_server.search.dates import EARLIEST, LATEST
from fhir_server.search.folding import normalized
from fhir_server.search.hashing import hash64
from fhir_server.search.positions import Point
from fhir_server.search.readers import STRING_LENGTH
from fhir_server.search.registry import Parameter

LAST_CHARACTER = "\U0010ffff"
# Which value of its search it is, where the search has a shape.
PLACE: Any = field(default=None, compare=False)
Comparator = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "co", "po"]


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`system|code`; a system of None means any, "" means none; a code of None means any."""

    system: str | None
    code: str | None
    place: int | None = PLACE

    def code_hash(self) -> int:
        """What the index knows the code by."""
        return hash64(self.code or "")


@dataclass(frozen=True, slots=True)
class TextValue:
    """The text of a string or uri parameter; `latin` is the same in Latin letters where it is written in others."""

    text: str
    latin: str | None = None
    place: int | None = PLACE

    def start(self) -> str:
        """The first of the texts that begin so, as far as the index holds them."""
        return self.text[:STRING_LENGTH]

    def end(self) -> str:
        """Above the last of them."""
        return self.start() + LAST_CHARACTER

    def normalized(self) -> str:
        """As the index holds a text that is compared exactly."""
        return normalized(self.text)[:STRING_LENGTH]


@dataclass(frozen=True, slots=True)
class RangeValue:
    """A date or number as a range [low, high) by its precision; `exact` is the number itself."""

    comparator: Comparator
    low: float
    high: float
    exact: float
    place: int | None = PLACE

    def begin(self) -> int:
        """The beginning of a date, as far as dates go."""
        return max(int(self.low), EARLIEST)

    def end(self) -> int:
        """The end of a date, as far as dates go."""
        return min(int(self.high), LATEST)

    def earliest(self, narrow: int) -> int:
        """From when on what lasts no longer than `narrow` must begin to be met by a date from this on."""
        return max(int(self.low), EARLIEST + narrow) - narrow


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with its unit; a system of None means that `code` may be the code or the unit.

    `canonical` is the number in base units, `keys` what its unit may be stored under.
    """

    range: RangeValue
    system: str | None
    code: str | None
    canonical: RangeValue | None = None
    keys: tuple[int, ...] = ()
    place: int | None = PLACE

    def key(self, number: int) -> int:
        """One of the keys."""
        return self.keys[number]


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A target: a type (or None: any) and id, or a URL."""

    type: str | None
    id: str | None
    url: str | None
    place: int | None = PLACE

    def target_hash(self, type_: str) -> int:
        """What the index knows the target by, if it is of this type."""
        return hash64(type_, self.id or "")

    def url_hash(self) -> int:
        """The same of a URL."""
        return hash64(self.url or "")


@dataclass(frozen=True, slots=True)
class PositionValue:
    """What lies no farther from a place than a chord of this length.  R4 location.html#positional-search"""

    place: Point
    chord: float


@dataclass(frozen=True, slots=True)
class CompositeValue:
    """`a$b`: values that one group of a resource meets together.  R4 search.html#combining"""

    parts: tuple["Value", ...]


Value = TokenValue | TextValue | RangeValue | QuantityValue | ReferenceValue | CompositeValue | PositionValue


@dataclass(frozen=True, slots=True)
class Clause:
    """One parameter with its ORed values."""

    parameter: Parameter
    modifier: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A condition on what a reference points to.  R4 search.html#chaining"""

    parameter: Parameter
    targets: tuple[tuple[str, "Condition"], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A condition on what points here, to a resource of one of `target_types`.  R4 search.html#has"""

    target_types: tuple[str, ...]
    parameter: Parameter
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class Missing:
    """`:missing=true` or false."""

    parameter: Parameter
    missing: bool


@dataclass(frozen=True, slots=True)
class InCompartment:
    """What one of these reference parameters ties to a resource, or that resource.  R4 compartmentdefinition.html"""

    type: str
    id: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """Conditions joined, or one negated.  R4 search_filter.html"""

    operator: Literal["and", "or", "not"]
    parts: tuple["Condition", ...]


Condition = Clause | Chain | Has | Missing | InCompartment | Logic


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` or `_revinclude`; no parameter means every reference of the source type (`*`), no type any."""

    source_type: str | None
    parameter: Parameter | None
    target_type: str | None
    iterate: bool
    reverse: bool


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of `_sort`."""

    parameter: Parameter
    descending: bool


@dataclass(slots=True)
class Query:
    """A parsed search. `address` is its path below the base; `accepted` are the pairs that went into it, for links."""

    types: tuple[str, ...]
    address: str
    conditions: list[Condition] = field(default_factory=list)
    sort: list[Sort] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    count: int = 50
    total: Literal["none", "estimate", "accurate"] = "none"
    summary: Literal["true", "text", "data", "count", "false"] = "false"
    elements: tuple[str, ...] = ()
    cursor: str | None = None
    accepted: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def resource_type(self) -> str | None:
        """The type that is searched; None for several."""
        return self.types[0] if len(self.types) == 1 else None

    @property
    def places(self) -> list[Point]:
        """The places that the resources asked for are near to."""
        near = [each for each in self.conditions if isinstance(each, Clause) and each.parameter.type == "special"]
        return [value.place for clause in near for value in clause.values if isinstance(value, PositionValue)]


Pairs = Sequence[tuple[str, str]]
