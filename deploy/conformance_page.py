"""`python -m deploy.conformance_page`: write docs/conformance/fhir.md from the marks of the tests themselves."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests" / "conformance"
PAGE = ROOT / "docs" / "conformance" / "fhir.md"
BASE = "https://hl7.org/fhir/R4/"
CLAUSE = re.compile(r"R4 ([\w.-]+\.html(?:#[\w.-]+)?)\Z")
HEAD = """# What is shown of FHIR R4

Written by `make docs` from the marks of the tests in `tests/conformance`; a test fails when it is stale. Each line
is a feature, the clause that asks for it, its state, and the test that shows it, most on SQLite and on PostgreSQL.
"shown" runs with `make test`, "shown (full)" with `make test-full`.
"""
# What R4 describes and this server does not offer.
MISSING = (
    ("resources in Turtle", "rdf.html", "not offered: answered with 406 or 415"),
    ("XML Patch", "http.html#patch", "not offered: JSON Patch and FHIRPath Patch are"),
    ("named queries (`_query`)", "search.html#query", "not offered: answered with 400"),
    (
        "matches among contained resources (`_contained=true`)",
        "search.html#contained",
        "not offered: answered with 400",
    ),
    ("GraphQL", "graphql.html", "not offered"),
    ("asynchronous answers (`Prefer: respond-async`)", "async.html", "not offered yet"),
)


@dataclass(frozen=True, order=True)
class Shown:
    """One test with its clause."""

    clause: str
    feature: str
    state: str
    test: str


def shown() -> list[Shown]:
    """Every test with a clause of R4, by page."""
    return sorted({found for path in TESTS.glob("test_*.py") for found in _of(path)})


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    rows = shown()
    for name in sorted({row.clause.partition("#")[0] for row in rows}):
        lines += [f"\n## {name}\n", "| feature | clause | state | test |", "|---|---|---|---|"]
        lines += [_line(row) for row in rows if row.clause.partition("#")[0] == name]
    lines += ["\n## Not offered\n", "| feature | clause | state |", "|---|---|---|"]
    lines += [f"| {feature} | [{clause}]({BASE}{clause}) | {state} |" for feature, clause, state in MISSING]
    return "\n".join(lines) + "\n"


def _line(row: Shown) -> str:
    return f"| {row.feature} | [{row.clause}]({BASE}{row.clause}) | {row.state} | `{row.test}` |"


def _of(path: Path) -> Iterator[Shown]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            marks = [_mark(decorator, constants) for decorator in node.decorator_list]
            state = "shown (full)" if ("full", "") in marks else "shown"
            for name, clause in marks:
                found = CLAUSE.match(clause) if name == "spec" else None
                if found:
                    feature = node.name.removeprefix("test_").replace("_", " ")
                    yield Shown(found.group(1), feature, state, f"{path.name}::{node.name}")


def _mark(decorator: ast.expr, constants: Mapping[str, object]) -> tuple[str, str]:
    """The name of a `pytest.mark` and its first argument."""
    call = decorator if isinstance(decorator, ast.Call) else None
    mark = call.func if call else decorator
    argument = call.args[0] if call and call.args else None
    value = constants.get(argument.id, "") if isinstance(argument, ast.Name) else getattr(argument, "value", "")
    return (mark.attr if isinstance(mark, ast.Attribute) else ""), str(value)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
