"""docs/dependencies.md gives a reason for every direct dependency, and no reason for what is not one."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]


def test_each_direct_dependency_has_a_reason() -> None:
    wanted = names(PROJECT["project"]["dependencies"]) | names(PROJECT["dependency-groups"]["dev"])
    wanted |= names(PROJECT["build-system"]["requires"])
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = {name.lower() for name in re.findall(r"^\| `([\w.-]+)` \| \S", page, re.MULTILINE)}
    browser = set(re.findall(r"^\| `(@?[\w./-]+)` \| \S.*\| npm \|$", page, re.MULTILINE))
    assert explained - browser == wanted


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    pinned = re.findall(r"^[\w.-]+(?:\[.*\])?==.*$", lock, re.MULTILINE)
    assert len(pinned) > 50
    assert all(line.endswith("\\") for line in pinned)
