"""The part of FHIRPath that search parameters use, compiled to closures.  https://hl7.org/fhir/R4/fhirpath.html

Paths, unions, `as`, `is`, `=`, `!=`, `and`, indexers, and the functions as, ofType, where, exists, extension,
hasExtension, resolve. A node is (FHIR type, value); `resolve()` gives a node that has only a type, since nothing is
fetched.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import Definitions

Node = tuple[str, Any]
Evaluate = Callable[[list[Node], Node], list[Node]]

TOKEN = re.compile(r"\s*(?:'((?:[^'\\]|\\.)*)'|(\d+)|(!=|[|.()\[\]=,])|(%?[A-Za-z_]\w*))")
ROOTS = ("Resource", "DomainResource")
REFERENCE_TYPE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


class Unsupported(ValueError):
    """The expression uses more of FHIRPath than this compiler knows."""


def compile_path(expression: str, context_type: str, definitions: Definitions) -> Callable[[Node], list[Node]]:
    """Make a function from a node of `context_type` to the nodes that the expression selects. Raises Unsupported."""
    parser = _Parser(_tokens(expression), context_type, definitions)
    evaluate = parser.whole()
    return lambda node: evaluate([node], node)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = expression.strip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise Unsupported(expression)
        kind = ("string", "number", "symbol", "name")[(match.lastindex or 1) - 1]
        tokens.append(_Token(kind, match.group(match.lastindex or 1)))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent; every method gives a closure."""

    def __init__(self, tokens: list[_Token], context_type: str, definitions: Definitions) -> None:
        self.tokens = [*tokens, _Token("end", "")]
        self.position = 0
        self.context_type = context_type
        self.definitions = definitions

    def whole(self) -> Evaluate:
        evaluate = self.conjunction()
        if self.peek().kind != "end":
            raise Unsupported(self.peek().text)
        return evaluate

    def peek(self) -> _Token:
        return self.tokens[self.position]

    def take(self, *texts: str) -> bool:
        token = self.peek()
        if token.kind in {"symbol", "name"} and token.text in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise Unsupported(f"expected {text}, found {self.peek().text}")

    def next_text(self) -> str:
        self.position += 1
        return self.tokens[self.position - 1].text

    def conjunction(self) -> Evaluate:
        parts = [self.equality()]
        while self.take("and"):
            parts.append(self.equality())
        return parts[0] if len(parts) == 1 else _all_true(parts)

    def equality(self) -> Evaluate:
        left = self.union()
        if self.take("="):
            return _equals(left, self.union(), wanted=True)
        if self.take("!="):
            return _equals(left, self.union(), wanted=False)
        return left

    def union(self) -> Evaluate:
        parts = [self.typed()]
        while self.take("|"):
            parts.append(self.typed())
        return parts[0] if len(parts) == 1 else _union(parts)

    def typed(self) -> Evaluate:
        evaluate = self.path()
        while True:
            if self.take("as"):
                evaluate = _then(evaluate, _of_type(self.next_text()))
            elif self.take("is"):
                evaluate = _then(evaluate, _is_type(self.next_text()))
            else:
                return evaluate

    def path(self) -> Evaluate:
        evaluate = self.term()
        while True:
            if self.take("."):
                evaluate = _then(evaluate, self.invocation())
            elif self.take("["):
                evaluate = _then(evaluate, _index(int(self.next_text())))
                self.expect("]")
            else:
                return evaluate

    def term(self) -> Evaluate:
        token = self.peek()
        if self.take("("):
            evaluate = self.conjunction()
            self.expect(")")
            return evaluate
        if token.kind == "string":
            self.position += 1
            return _constant(("string", token.text))
        if token.kind == "name" and token.text in {"true", "false"}:
            self.position += 1
            return _constant(("boolean", token.text == "true"))
        if self.take("%resource"):
            return lambda nodes, root: [root]
        if token.kind == "name" and token.text[0].isupper():
            self.position += 1
            return _root if token.text in {self.context_type, *ROOTS} else _nothing
        return self.invocation()

    def invocation(self) -> Evaluate:
        name = self.next_text()
        if not self.take("("):
            return _member(name, self.definitions)
        evaluate = self.function(name)
        self.expect(")")
        return evaluate

    def function(self, name: str) -> Evaluate:
        if name in {"as", "ofType"}:
            return _of_type(self.next_text())
        if name == "where":
            return _where(self.conjunction())
        if name == "extension":
            return _extension(self.next_text())
        if name == "hasExtension":
            return _then(_extension(self.next_text()), _exists)
        if name in {"exists", "resolve"}:
            return {"exists": _exists, "resolve": _resolve}[name]
        raise Unsupported(name)


def _root(nodes: list[Node], root: Node) -> list[Node]:
    return nodes


def _nothing(nodes: list[Node], root: Node) -> list[Node]:
    return []


def _constant(node: Node) -> Evaluate:
    return lambda nodes, root: [node]


def _then(first: Evaluate, second: Evaluate) -> Evaluate:
    return second if first is _root else lambda nodes, root: second(first(nodes, root), root)


def _union(parts: list[Evaluate]) -> Evaluate:
    real = [part for part in parts if part is not _nothing]
    return lambda nodes, root: [node for part in real for node in part(nodes, root)]


def _all_true(parts: list[Evaluate]) -> Evaluate:
    return lambda nodes, root: [("boolean", all(_truth(part(nodes, root)) for part in parts))]


def _truth(nodes: list[Node]) -> bool:
    return bool(nodes) and all(value is not False for _, value in nodes)


def _equals(left: Evaluate, right: Evaluate, *, wanted: bool) -> Evaluate:
    def evaluate(nodes: list[Node], root: Node) -> list[Node]:
        first, second = left(nodes, root), right(nodes, root)
        if not first or not second:
            return []
        return [("boolean", ([value for _, value in first] == [value for _, value in second]) is wanted)]

    return evaluate


def _member(name: str, definitions: Definitions) -> Evaluate:
    def evaluate(nodes: list[Node], root: Node) -> list[Node]:
        found: list[Node] = []
        for type_, value in nodes:
            if not isinstance(value, dict):
                continue
            for element in definitions.names(type_).get(name, ()):
                child = value.get(element.key)
                if isinstance(child, list):
                    found.extend((_actual(element.type, item), item) for item in child if item is not None)
                elif child is not None:
                    found.append((_actual(element.type, child), child))
        return found

    return evaluate


def _actual(type_: str, value: Any) -> str:
    """The type of a contained resource is its own."""
    return str(value.get("resourceType", type_)) if type_ == "Resource" and isinstance(value, dict) else type_


def _of_type(name: str) -> Evaluate:
    wanted = {name, name[0].lower() + name[1:]}
    return lambda nodes, root: [node for node in nodes if node[0] in wanted]


def _is_type(name: str) -> Evaluate:
    return lambda nodes, root: [("boolean", any(type_ == name for type_, _ in nodes))]


def _index(position: int) -> Evaluate:
    return lambda nodes, root: nodes[position : position + 1]


def _where(criterion: Evaluate) -> Evaluate:
    return lambda nodes, root: [node for node in nodes if _truth(criterion([node], root))]


def _exists(nodes: list[Node], root: Node) -> list[Node]:
    return [("boolean", bool(nodes))]


def _extension(url: str) -> Evaluate:
    def evaluate(nodes: list[Node], root: Node) -> list[Node]:
        return [
            ("Extension", extension)
            for _, value in nodes
            if isinstance(value, dict)
            for extension in value.get("extension", ())
            if extension.get("url") == url
        ]

    return evaluate


def _resolve(nodes: list[Node], root: Node) -> list[Node]:
    types = (reference_type(value) for _, value in nodes if isinstance(value, dict))
    return [(type_, None) for type_ in types if type_]


def reference_type(reference: dict[str, Any]) -> str | None:
    """The type of resource that a Reference names, from its text or its `type`."""
    match = REFERENCE_TYPE.search(str(reference.get("reference", "")))
    if match:
        return match.group(1)
    return reference.get("type")
