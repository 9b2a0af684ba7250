"""Syntax trees of FHIRPath by recursive descent.  https://hl7.org/fhirpath/N1/grammar.html"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath.lexer import ExpressionError, Token, tokens_of

MAX_DEPTH = 60
# Weakest first; unions, types and arithmetic bind more tightly than what compares.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"implies"}),
    frozenset({"or", "xor"}),
    frozenset({"and"}),
    frozenset({"in", "contains"}),
    frozenset({"=", "~", "!=", "!~"}),
    frozenset({"<", ">", "<=", ">="}),
    frozenset({"|"}),
    frozenset({"is", "as"}),
    frozenset({"+", "-", "&"}),
    frozenset({"*", "/", "div", "mod"}),
)
TYPES = LEVELS.index(frozenset({"is", "as"}))
UNITS = frozenset(
    unit + plural
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant with its System type."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`"""

    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """A member, a type at the root, or `$this`, `$index`, `$total`."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Step:
    """`target.then`"""

    target: "Tree"
    then: "Tree"


@dataclass(frozen=True, slots=True)
class Index:
    """`target[position]`"""

    target: "Tree"
    position: "Tree"


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; of `is` and `as` the right side is a Name."""

    operator: str
    left: "Tree"
    right: "Tree"


@dataclass(frozen=True, slots=True)
class Sign:
    """`-operand`, `+operand`"""

    operator: str
    operand: "Tree"


Tree = Literal | Empty | Variable | Name | Call | Step | Index | Binary | Sign


def parse(text: str) -> Tree:
    """The tree of an expression. Raises ExpressionError."""
    parser = _Parser(tokens_of(text))
    tree = parser.binary(0)
    if parser.token.kind != "end":
        raise ExpressionError(f"'{parser.token.text}' was not expected.")
    return tree


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def next(self) -> Token:
        self.position += 1
        return self.tokens[self.position - 1]

    def at(self, texts: frozenset[str] | set[str]) -> bool:
        token = self.token
        return token.text in texts and not token.quoted and token.kind in {"symbol", "name"}

    def take(self, text: str) -> bool:
        if self.at({text}):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise ExpressionError(f"'{text}' was expected, not '{self.token.text}'.")

    def binary(self, level: int) -> Tree:
        if level == 0:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise ExpressionError(f"An expression may nest {MAX_DEPTH} levels.")
        tree = self._operands(level)
        if level == 0:
            self.depth -= 1
        return tree

    def _operands(self, level: int) -> Tree:
        if level == len(LEVELS):
            return self.signed()
        left = self._operands(level + 1)
        while self.at(LEVELS[level]):
            operator = self.next().text
            right = self.type_name() if level == TYPES else self._operands(level + 1)
            left = Binary(operator, left, right)
        return left

    def type_name(self) -> Name:
        parenthesis = self.take("(")
        text = self.name().text
        while self.take("."):
            text += f".{self.name().text}"
        if parenthesis:
            self.expect(")")
        return Name(text)

    def signed(self) -> Tree:
        signs = []
        while self.at({"+", "-"}):
            signs.append(self.next().text)
        tree = self.path()
        for sign in reversed(signs):
            tree = Sign(sign, tree)
        return tree

    def path(self) -> Tree:
        tree = self.term()
        while True:
            if self.take("."):
                tree = Step(tree, self.invocation())
            elif self.take("["):
                tree = Index(tree, self.binary(0))
                self.expect("]")
            else:
                return tree

    def term(self) -> Tree:
        token = self.token
        if token.kind == "symbol":
            return self.enclosed()
        if token.kind == "name" and (token.quoted or token.text not in {"true", "false"}):
            return self.invocation()
        self.position += 1
        if token.kind == "variable":
            return Variable(token.text)
        if token.kind == "number":
            return self.number(token.text)
        return _literal(token)

    def enclosed(self) -> Tree:
        if self.take("{"):
            self.expect("}")
            return Empty()
        self.expect("(")
        tree = self.binary(0)
        self.expect(")")
        return tree

    def number(self, text: str) -> Tree:
        token = self.token
        if token.kind == "string" or (token.kind == "name" and not token.quoted and token.text in UNITS):
            self.position += 1
            return Literal("System.Quantity", {"value": Decimal(text), "code": token.text})
        if "." in text:
            return Literal("System.Decimal", Decimal(text))
        return Literal("System.Integer", int(text))

    def name(self) -> Token:
        if self.token.kind != "name":
            raise ExpressionError(f"A name was expected, not '{self.token.text}'.")
        return self.next()

    def invocation(self) -> Tree:
        token = self.name()
        if not self.take("("):
            return Name(token.text, token.quoted)
        arguments: list[Tree] = []
        while not self.take(")"):
            if arguments:
                self.expect(",")
            arguments.append(self.binary(0))
        return Call(token.text, tuple(arguments))


def _literal(token: Token) -> Literal:
    if token.kind == "name":
        return Literal("System.Boolean", token.text == "true")
    types = {"string": "String", "date": "Date", "datetime": "DateTime", "time": "Time"}
    if token.kind not in types:
        raise ExpressionError("The expression ends too early.")
    text = token.text if token.kind == "string" else token.text.strip("T")
    return Literal(f"System.{types[token.kind]}", text)
