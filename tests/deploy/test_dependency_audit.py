"""An advisory fails the tests, silence of an index is said and never taken for a clean bill."""

import json
from pathlib import Path

import pytest

from deploy import dependency_audit
from deploy.dependency_audit import Answer, main, of_npm, of_pypi

CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}
UNKNOWN = {"name": "amqp", "skip_reason": "Dependency not found on PyPI and could not be audited: amqp (5.4.2)"}
BAD = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}]}


def pypi(*packages: object) -> Answer:
    return of_pypi(json.dumps({"dependencies": packages, "fixes": []}))


def npm(**severities: int) -> Answer:
    found = {f"a-{name}": {"severity": name} for name, number in severities.items() if number}
    totals = {"vulnerabilities": {"low": 0, **severities}, "dependencies": {"total": 7}}
    return of_npm(json.dumps({"vulnerabilities": found, "metadata": totals}))


def test_what_the_tools_write_is_read() -> None:
    assert pypi(CLEAN).is_whole and not pypi(CLEAN).advisories
    assert pypi(CLEAN, BAD).advisories == ["jinja2 2.4.1: PYSEC-2019-217"]
    assert str(pypi(CLEAN, UNKNOWN)) == "PyPI: NOT AUDITED, 1 of 2 packages are not known to it"
    assert "NOT AUDITED" in str(of_pypi("")) and "NOT AUDITED" in str(of_npm('{"message": "405", "statusCode": 405}'))
    assert npm(high=1, low=3).advisories == ["a-high: high"] and npm(low=3).is_whole


@pytest.mark.parametrize(
    ("answer", "strict", "ends"),
    [(pypi(BAD), False, 1), (pypi(CLEAN), True, 0), (pypi(UNKNOWN), False, 0), (of_pypi(""), True, 2)],
)
def test_how_it_ends(answer: Answer, strict: bool, ends: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Answer] = []

    def ask() -> list[Answer]:
        asked.append(answer)
        return [answer]

    monkeypatch.setattr(dependency_audit, "TOOL", tmp_path / "build" / "audit")
    monkeypatch.setattr(dependency_audit, "ask", ask)
    arguments = ["--strict"] if strict else []
    assert main(arguments) == ends
    assert main(arguments) == ends
    assert len(asked) == (1 if ends == 0 and not strict else 2), "an advisory is asked for again, the rest once a day"
