"""Values of one parameter as a test on its index rows.  https://hl7.org/fhir/R4/search.html#ptypes

A thousand ORed values stay a flat test: codes and ids become lists, other tests a balanced tree, which no database
finds too deep. `c` are the columns, those of a table or of one component of a composite row.
"""

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_
from sqlalchemy.sql.elements import Grouping

from fhir_server.errors import Invalid
from fhir_server.search.filtering import UNEQUAL
from fhir_server.search.hashing import hash64
from fhir_server.search.positions import Point
from fhir_server.search.query import (
    LAST_CHARACTER,
    Comparator,
    CompositeValue,
    PositionValue,
    QuantityValue,
    RangeValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    Value,
)
from fhir_server.search.readers import IMPLIED_SYSTEM, STRING_LENGTH
from fhir_server.search.registry import CONTENT, WORDS, Parameter
from fhir_server.search.ucum import SYSTEM as UCUM
from fhir_server.search.wording import BEGINS
from fhir_server.store.models import index_words
from fhir_server.store.slots import slot
from fhir_server.store.whole_texts import has_words

# Ids without a type, each under all types that its parameter allows: more than these would be no search.
MOST_TARGETS = 20_000
# What a square of a chord may be off by: less than a millimetre on the ground.
ROUNDING = 1e-20
# Both values are met by one row: what two conditions on an element that does not repeat come to.
BETWEEN = "between"
Test = ColumnElement[bool]
Columns = Any


def matching(parameter: Parameter, modifier: str | None, values: Sequence[Value], c: Columns) -> Test:
    """A row that one of the values is met by."""
    if modifier == UNEQUAL:
        return _unequal(parameter, values, c)
    if parameter.type == WORDS:
        return any_of(_words(parameter, modifier, value) for value in values)
    kind = _kind(parameter, modifier)
    if len(values) == 1 and isinstance(values[0], TokenValue | ReferenceValue):
        return _single(values[0], parameter, c)
    if kind == "token":
        return _tokens(values, c)
    if kind == "reference":
        return _references(values, parameter.targets or tuple(parameter.registry.definitions.resource_types), c)
    if modifier == BETWEEN:
        return and_(*(_one(kind, parameter, None, value, c) for value in values))
    if kind == "uri" and modifier is None:
        texts = (slot(c.value, value, "text") for value in values if isinstance(value, TextValue))
        return c.value == next(texts) if len(values) == 1 else one_of(c.value, texts)
    return any_of(_one(kind, parameter, modifier, value, c) for value in values)


def _unequal(parameter: Parameter, values: Sequence[Value], c: Columns) -> Test:
    """A row of another value; what was made in Latin letters beside a text is none."""
    if parameter.type == "string":
        return and_(not_(matching(parameter, "same", values, c)), c.exact != "")
    return not_(matching(parameter, None, values, c))


def _words(parameter: Parameter, modifier: str | None, value: Value) -> Test:
    """A text of the resource that has these words."""
    if not isinstance(value, TextValue):
        return false()
    column = "content" if parameter.code == CONTENT else "narrative"
    return has_words(index_words, column, value.text, begins=modifier == BEGINS)


def _kind(parameter: Parameter, modifier: str | None) -> str:
    """Which table's rows are asked: some modifiers have rows of another kind."""
    return {"identifier": "token", "text": "string"}.get(modifier or "", parameter.type)


def any_of(tests: Iterable[Test]) -> Test:
    """OR as a balanced tree."""
    listed = list(tests)
    if len(listed) <= 2:
        return or_(*listed) if listed else false()
    half = len(listed) // 2
    return or_(_Bracketed(any_of(listed[:half])), _Bracketed(any_of(listed[half:])))


class _Bracketed(Grouping[bool]):
    """Brackets that SQLAlchemy leaves where they are: it would make one flat chain of the ORs."""

    inherit_cache = True
    operator = None


def _one(kind: str, parameter: Parameter, modifier: str | None, value: Value, c: Columns) -> Test:
    match value:
        case TextValue():
            return TEXT[kind, None if modifier == "text" else modifier](value, c)
        case RangeValue():
            return number(value, c.low, c.high) if kind == "number" else compare(value, c.low, c.high)
        case QuantityValue():
            return _quantity(value, c)
        case PositionValue():
            return _near(value, c)
        case CompositeValue(parts):
            return _composite(parameter, parts, c)
        case _:
            return false()


def _composite(parameter: Parameter, parts: tuple[Value, ...], c: Columns) -> Test:
    """Every part met by the columns of its component, in one row."""
    components = zip(parameter.components, parts, strict=True)
    tests = (matching(one, None, (part,), _component(c, n, one.type)) for n, (one, part) in enumerate(components, 1))
    return and_(*tests)


def _component(c: Columns, n: int, kind: str) -> Columns:
    """The columns of one component, by the names that they have in the table of its type."""
    low, high = ("low", "high") if kind == "quantity" else ("canonical_low", "canonical_high")
    code = c[f"code_{n}"]
    return SimpleNamespace(
        row_id=c.row_id,
        code_hash=c[f"hash_{n}"],
        target_hash=c[f"hash_{n}"],
        system=c[f"system_{n}"],
        target_type=c[f"system_{n}"],
        code=code,
        unit=code,
        target_id=code,
        url=code,
        value=code,
        exact=code,
        low=c[f"{low}_{n}"],
        high=c[f"{high}_{n}"],
        canonical_low=c[f"canonical_low_{n}"],
        canonical_high=c[f"canonical_high_{n}"],
    )


def one_of(column: ColumnElement[Any], values: Iterable[Any]) -> Test:
    """One value as an equality, several as a list."""
    listed = sorted(set(values))
    return column == listed[0] if len(listed) == 1 else column.in_(listed)


def _tokens(values: Sequence[Value], c: Columns) -> Test:
    """Codes of one system as one list; of several systems, each with its own."""
    by_system: dict[str | None, list[str | None]] = {}
    for value in values:
        if isinstance(value, TokenValue):
            by_system.setdefault(value.system, []).append(value.code)
    return any_of(_of_system(system, codes, c) for system, codes in by_system.items())


def _of_system(system: str | None, codes: list[str | None], c: Columns) -> Test:
    of_it = [] if system is None else [c.system.in_([system, IMPLIED_SYSTEM])]
    named = [code for code in codes if code is not None]
    if len(named) < len(codes):
        return and_(*of_it)
    return and_(one_of(c.code_hash, (hash64(code) for code in named)), one_of(c.code, named), *of_it)


def _single(value: TokenValue | ReferenceValue, parameter: Parameter, c: Columns) -> Test:
    return _code(value, c) if isinstance(value, TokenValue) else _reference(value, parameter, c)


def _code(value: TokenValue, c: Columns) -> Test:
    of_it = [] if value.system is None else [c.system.in_([slot(c.system, value, "system"), IMPLIED_SYSTEM])]
    if value.code is None:
        return and_(*of_it)
    hashed = c.code_hash == slot(c.code_hash, value, "code_hash")
    return and_(hashed, c.code == slot(c.code, value, "code"), *of_it)


def _reference(value: ReferenceValue, parameter: Parameter, c: Columns) -> Test:
    if value.id is None:
        hashed = c.target_hash == slot(c.target_hash, value, "url_hash")
        return and_(hashed, c.url == slot(c.url, value, "url"))
    types = (value.type,) if value.type else parameter.targets or tuple(parameter.registry.definitions.resource_types)
    hashes = [slot(c.target_hash, value, "target_hash", type_) for type_ in types]
    hashed = c.target_hash == hashes[0] if len(hashes) == 1 else c.target_hash.in_(hashes)
    return and_(hashed, one_of(c.target_type, types), c.target_id == slot(c.target_id, value, "id"))


def _references(values: Sequence[Value], targets: tuple[str, ...], c: Columns) -> Test:
    """Ids of one type as one list; without a type, of each type that the parameter allows; URLs as they are."""
    urls = [str(value.url) for value in values if isinstance(value, ReferenceValue) and value.id is None]
    ids: dict[tuple[str, ...], list[str]] = {}
    for value in values:
        if isinstance(value, ReferenceValue) and value.id is not None:
            ids.setdefault((value.type,) if value.type else targets, []).append(value.id)
    tests = [_of_types(types, listed, c) for types, listed in ids.items()]
    if urls:
        tests.append(and_(one_of(c.target_hash, map(hash64, urls)), one_of(c.url, urls)))
    return any_of(tests)


def _of_types(types: tuple[str, ...], ids: list[str], c: Columns) -> Test:
    if len(types) * len(ids) > MOST_TARGETS:
        raise Invalid("So many ids need their type, as in Patient/1.")
    hashes = (hash64(type_, id_) for type_ in types for id_ in ids)
    return and_(one_of(c.target_hash, hashes), one_of(c.target_type, types), one_of(c.target_id, ids))


def compare(value: RangeValue, low: ColumnElement[Any], high: ColumnElement[Any]) -> Test:
    """Two ranges by the prefixes of R4 search.html#prefix."""
    search_low, search_high = slot(low, value, "begin"), slot(low, value, "end")
    within = and_(low >= search_low, low < search_high, high <= search_high)
    tests: dict[Comparator, Callable[[], Test]] = {
        "eq": lambda: within,
        "ne": lambda: not_(within),
        "gt": lambda: high > search_high,
        "lt": lambda: low < search_low,
        "ge": lambda: or_(high > search_high, within),
        "le": lambda: or_(low < search_low, within),
        "sa": lambda: low >= search_high,
        "eb": lambda: high <= search_low,
        "ap": lambda: and_(low < search_high, high > search_low),
        "po": lambda: and_(low < search_high, high > search_low),
        "co": lambda: and_(low <= search_low, high >= search_high),
    }
    return tests[value.comparator]()


def number(value: RangeValue, low: ColumnElement[Any], high: ColumnElement[Any]) -> Test:
    """Numbers: eq, ne and ap by precision, the others by the exact value.  R4 search.html#number"""
    least, most, exact = (slot(low, value, reading) for reading in ("low", "high", "exact"))
    within = and_(low >= least, low < most, high < most)
    tests: dict[Comparator, Callable[[], Test]] = {
        "eq": lambda: within,
        "ne": lambda: not_(within),
        "gt": lambda: high > exact,
        "lt": lambda: low < exact,
        "ge": lambda: high >= exact,
        "le": lambda: low <= exact,
        "sa": lambda: low > exact,
        "eb": lambda: high < exact,
        "ap": lambda: and_(low <= most, high >= least),
    }
    return tests[value.comparator]()


def _quantity(value: QuantityValue, c: Columns) -> Test:
    """In base units when the unit has some; otherwise by the number as written."""
    if value.canonical is not None:
        in_base_units = number(value.canonical, c.canonical_low, c.canonical_high)
        return and_(c.code_hash == slot(c.code_hash, value, "key", 0), c.system == UCUM, in_base_units)
    written = number(value.range, c.low, c.high)
    of_it = [] if value.system is None else [c.system == slot(c.system, value, "system")]
    if value.code is None:
        return and_(written, *of_it)
    keys = [slot(c.code_hash, value, "key", number) for number in range(len(value.keys))]
    code = slot(c.code, value, "code")
    coded = and_(c.code_hash == keys[0] if len(keys) == 1 else c.code_hash.in_(keys), c.code == code)
    return and_(written, *of_it, coded if of_it else or_(coded, c.unit == code))


def _near(value: PositionValue, c: Columns) -> Test:
    """Within a cube around the place, which an index answers, and then within the chord."""
    axes = list(zip((c.x, c.y, c.z), value.place, strict=True))
    around = (axis.between(at - value.chord, at + value.chord) for axis, at in axes)
    return and_(*around, squared(value.place, c) <= value.chord**2 + ROUNDING)


def squared(place: Point, c: Columns) -> ColumnElement[Any]:
    """The square of the chord to a place."""
    along = [axis - at for axis, at in zip((c.x, c.y, c.z), place, strict=True)]
    total: ColumnElement[Any] = along[0] * along[0] + along[1] * along[1] + along[2] * along[2]
    return total


def _starts(value: TextValue, c: Columns) -> Test:
    return _either(value, c, _prefix)


def _contains(value: TextValue, c: Columns) -> Test:
    return _either(value, c, lambda text, column: column.contains(text, autoescape=True))


def _either(value: TextValue, c: Columns, test: Callable[[str, Any], Test]) -> Test:
    """As written, or in Latin letters. Rows in Latin letters made from others have an empty `exact` and no spaces: what
    is asked in another script meets only names written in Latin, or itself.
    """
    text = value.text
    if value.latin is not None:
        return or_(test(text, c.value), and_(test(value.latin, c.value), c.exact != ""))
    closed = text.replace(" ", "")
    if closed in {text, ""}:
        return test(text, c.value) if value.place is None else _begins(value, c)
    return or_(test(text, c.value), and_(test(closed, c.value), c.exact == ""))


def _begins(value: TextValue, c: Columns) -> Test:
    return and_(c.value >= slot(c.value, value, "start"), c.value < slot(c.value, value, "end"))


def _prefix(text: str, column: ColumnElement[Any]) -> Test:
    prefix = text[:STRING_LENGTH]
    return and_(column >= prefix, column < prefix + LAST_CHARACTER)


def _exactly(value: TextValue, c: Columns) -> Test:
    return and_(c.value == slot(c.value, value, "normalized"), c.exact == slot(c.exact, value, "text"))


def _below(value: TextValue, c: Columns) -> Test:
    """The URI itself and those under it: `http://a/b` is under `http://a`, `urn:oid:1.2.3` under `urn:oid:1.2`."""
    stem = value.text.rstrip("/")
    return or_(c.value == value.text, *(_prefix(stem + mark, c.value) for mark in _marks(value.text)))


def _marks(uri: str) -> str:
    return "/" if "://" in uri else "/:."


def _above(value: TextValue, c: Columns) -> Test:
    """The URI itself and those that it is under."""
    text = value.text
    prefixes = {text[:place] for place, character in enumerate(text) if character in _marks(text)}
    return one_of(c.value, {text, *prefixes, *(prefix + "/" for prefix in prefixes)} - {""})


TEXT: dict[tuple[str, str | None], Callable[[TextValue, Columns], Test]] = {
    ("string", None): _starts,
    ("string", "exact"): _exactly,
    ("string", "contains"): _contains,
    ("string", "same"): lambda value, c: _either(value, c, lambda text, column: column == text[:STRING_LENGTH]),
    ("string", "ends"): lambda value, c: _either(value, c, lambda text, column: column.endswith(text, autoescape=True)),
    ("string", "lt"): lambda value, c: and_(c.value < value.text[0], c.exact != ""),
    ("string", "ge"): lambda value, c: and_(c.value >= value.text[0], c.exact != ""),
    ("string", "le"): lambda value, c: and_(c.value < value.text[0] + LAST_CHARACTER, c.exact != ""),
    ("string", "gt"): lambda value, c: and_(c.value >= value.text[0] + LAST_CHARACTER, c.exact != ""),
    ("uri", "below"): _below,
    ("uri", "above"): _above,
}
