"""Values that a statement leaves open: each is a reading of one value of the search, by which it is filled again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam

from fhir_server.search.query import CompositeValue, Value

LISTED = "listed_"
PREFIX, BETWEEN = "value", "__"  # no character that SQLAlchemy would replace in a name


def slot(column: ColumnElement[Any], value: Value, reading: str, argument: Any = None) -> Any:
    """What the column is compared with: an attribute of the value, or what its method of that name gives.

    A value with a place leaves it open under the name `value__PLACE__READING__ARGUMENT`; any other is bound as it is.
    """
    read = _read(value, reading, argument)
    if isinstance(value, CompositeValue) or value.place is None:
        return read
    words = [PREFIX, str(value.place), reading, *([] if argument is None else [str(argument)])]
    return bindparam(BETWEEN.join(words), read, type_=column.type)


def filled(names: Sequence[str], values: Sequence[Value]) -> dict[str, Any]:
    """The open values of a statement, read from those of another search of its shape."""
    return {name: _filled(name, values) for name in names}


def size_of(values: Sequence[Any]) -> int:
    """How many a statement leaves open for so many values: statements of a few sizes serve lists of every length."""
    return 1 << (len(values) - 1).bit_length()


def open_list(column: ColumnElement[Any], size: int) -> ColumnElement[bool]:
    """The column is one of so many values that are left open."""
    return column.in_([bindparam(f"{LISTED}{number}", type_=column.type) for number in range(size)])


def filled_list(values: Sequence[Any]) -> dict[str, Any]:
    """The values of an open list; the last one again where there are fewer."""
    padded = [*values, *[values[-1]] * (size_of(values) - len(values))]
    return {f"{LISTED}{number}": value for number, value in enumerate(padded)}


def is_slot(name: str) -> bool:
    """Whether the name of a bound value is that of an open one."""
    return name.startswith(PREFIX + BETWEEN)


def _filled(name: str, values: Sequence[Value]) -> Any:
    _, place, reading, *argument = name.split(BETWEEN)
    if not argument:
        return _read(values[int(place)], reading, None)
    return _read(values[int(place)], reading, int(argument[0]) if argument[0].isdigit() else argument[0])


def _read(value: Value, reading: str, argument: Any) -> Any:
    found = getattr(value, reading)
    if not callable(found):
        return found
    return found() if argument is None else found(argument)
