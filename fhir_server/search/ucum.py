"""Units of measure in base units, so that 1 g and 1000 mg are the same.  https://ucum.org/ucum

Exact: every factor is a fraction, and a value becomes a float only by the last division of two integers, which Python
rounds correctly, so that equal quantities are equal numbers. Temperatures are moved to Kelvin; other units with a
function of their own (pH, decibel) stand for themselves.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

SYSTEM = "http://unitsofmeasure.org"
LONGEST = 64
KEPT = 5000
OFFSETS = {"Cel": Fraction("273.15"), "degF": Fraction("459.67"), "degRe": Fraction("218.52")}
PART = re.compile(r"[./()]|\{[^{}]*\}|(?:\[[^\[\]]*\]|[^./(){}\[\]])+")
EXPONENT = re.compile(r"(.*?)([+-]?\d{1,2})\Z", re.DOTALL)


class NotUcum(ValueError):
    """Not a unit of UCUM, or one that has no place in a product."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit as `factor` times powers of base units; `offset` is added to a value first (temperatures)."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)

    def times(self, other: "Measure", sign: int = 1) -> "Measure":
        """The product, or the quotient."""
        if self.offset or other.offset:
            raise NotUcum("a temperature scale inside a product")
        powers = dict(self.powers)
        for name, power in other.powers:
            powers[name] = powers.get(name, 0) + sign * power
        kept = tuple(sorted((name, power) for name, power in powers.items() if power))
        return Measure(self.factor * other.factor**sign, kept)

    def power(self, exponent: int) -> "Measure":
        """The unit multiplied by itself."""
        if self.offset and exponent != 1:
            raise NotUcum("a power of a temperature scale")
        powers = tuple((name, power * exponent) for name, power in self.powers if exponent)
        return Measure(self.factor**exponent, powers, self.offset)

    @property
    def code(self) -> str:
        """The base units as a UCUM code."""
        return ".".join(f"{name}{power if power != 1 else ''}" for name, power in self.powers) or "1"

    def of(self, value: Any) -> float:
        """A value of this unit in base units."""
        top, bottom = (value if isinstance(value, Fraction) else Decimal(str(value))).as_integer_ratio()
        if self.offset:
            top, bottom = (
                top * self.offset.denominator + self.offset.numerator * bottom,
                bottom * self.offset.denominator,
            )
        try:
            return (top * self.factor.numerator) / (bottom * self.factor.denominator)
        except OverflowError:
            return float("inf") if top > 0 else float("-inf")


ONE = Measure(Fraction(1))


@dataclass
class Units:
    """UCUM's units as set-up compiled them; without any, every unit stands for itself."""

    prefixes: dict[str, str] = field(default_factory=dict)
    base: list[str] = field(default_factory=list)
    units: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.canonical = lru_cache(maxsize=KEPT)(self._canonical)
        self._atoms: dict[str, Measure] = {code: Measure(Fraction(1), ((code, 1),)) for code in self.base}

    def _canonical(self, code: str) -> Measure | None:
        """A code in base units; None for what is no unit of UCUM or has a function of its own."""
        if len(code) > LONGEST:
            return None
        try:
            return _Term(self, code).whole()
        except (NotUcum, ZeroDivisionError, RecursionError):
            return None

    def simple(self, text: str) -> Measure:
        """A unit with its prefix and exponent. Raises NotUcum."""
        if text.isascii() and text.isdigit():
            return Measure(Fraction(int(text)))
        found = self._prefixed(text)
        if found is not None:
            return found
        match = EXPONENT.match(text)
        stem = self._prefixed(match.group(1)) if match else None
        if match is None or stem is None:
            raise NotUcum(text)
        return stem.power(int(match.group(2)))

    def _prefixed(self, text: str) -> Measure | None:
        atom = self._atom(text)
        if atom is not None:
            return atom
        for length in (1, 2):
            prefix, code = self.prefixes.get(text[:length]), text[length:]
            if prefix is None or not (code in self.base or self.units.get(code, (0, 0, False))[2]):
                continue
            atom = self._atom(code)
            if atom is not None and not atom.offset:
                return Measure(atom.factor * Fraction(prefix), atom.powers)
        return None

    def _atom(self, code: str) -> Measure | None:
        found = self._atoms.get(code)
        if found is None and code in self.units:
            value, unit, _, kind = self.units[code]
            if kind and kind not in OFFSETS and kind != "arbitrary":
                return None
            if kind == "arbitrary" and unit == "1":
                found = Measure(Fraction(1), ((code, 1),))
            else:
                meant = _Term(self, unit).whole()
                found = Measure(meant.factor * Fraction(value), meant.powers, OFFSETS.get(kind, Fraction(0)))
            self._atoms[code] = found
        return found


class _Term:
    """The grammar of UCUM: units multiplied, divided and bracketed, with remarks in braces."""

    def __init__(self, units: Units, text: str) -> None:
        self.units = units
        self.parts = PART.findall(text)
        if "".join(self.parts) != text or not text:
            raise NotUcum(text)
        self.position = 0

    def whole(self) -> Measure:
        measure = self.term()
        if self.position != len(self.parts):
            raise NotUcum("unbalanced brackets")
        return measure

    def peek(self) -> str:
        return self.parts[self.position] if self.position < len(self.parts) else ""

    def term(self) -> Measure:
        if self.peek() == "/":
            self.position += 1
            measure = ONE.times(self.component(), -1)
        else:
            measure = self.component()
        while self.peek() in {".", "/"}:
            sign = -1 if self.peek() == "/" else 1
            self.position += 1
            measure = measure.times(self.component(), sign)
        return measure

    def component(self) -> Measure:
        part = self.peek()
        self.position += 1
        if part == "(":
            measure = self.term()
            if self.peek() != ")":
                raise NotUcum("unbalanced brackets")
            self.position += 1
            return self.remarked(measure)
        if part.startswith("{"):
            return ONE
        if part in {"", ".", "/", ")"}:
            raise NotUcum("a unit is missing")
        return self.remarked(self.units.simple(part))

    def remarked(self, measure: Measure) -> Measure:
        while self.peek().startswith("{"):
            self.position += 1
        return measure


def load_units(path: Path) -> Units:
    """Read what set-up compiled. Raises FileNotFoundError with what to do."""
    if not path.exists():
        raise FileNotFoundError(f"No units of measure at {path}: run `make setup` or set KONSIL_FHIR_UNITS")
    return Units(**orjson.loads(path.read_bytes()))
