"""Sizes that keep a part small enough to hold in the head: a broken gate is a sign to think."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("konsil", "fhir_server", "smart_app", "dicom_gateway", "deploy")
FUNCTION_LINES = 40
FILE_LINES = 400


def source_files() -> list[Path]:
    """Every Python file of the packages, migrations left out: they are written once by a tool."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in files if "versions" not in path.parts and "node_modules" not in path.parts]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, the docstring not counted."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_files_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    too_long = [f"{node.name} ({length(node)})" for node in functions(ast.parse(text)) if length(node) > FUNCTION_LINES]
    assert not too_long, f"functions over {FUNCTION_LINES} lines: {too_long}"
    assert len(text.splitlines()) <= FILE_LINES, f"{path.name} has more than {FILE_LINES} lines"
