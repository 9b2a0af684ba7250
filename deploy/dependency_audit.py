"""`python -m deploy.dependency_audit`: no locked version has a known advisory, as far as PyPI and npm answer.

A part of `make test`.  An advisory fails it.  Where an index does not answer (no network, a mirror without advisories)
that is said and the tests go on; with `--strict`, for a release, it fails too.  Asked once a day for the same locks.
https://github.com/pypa/pip-audit  https://docs.npmjs.com/cli/commands/npm-audit
"""

import hashlib
import json
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "build" / "audit"
FRONTEND = ROOT / "smart_app" / "frontend"
LOCKS = (ROOT / "requirements.lock", FRONTEND / "package-lock.json")
PIP_AUDIT = "pip-audit==2.10.1"
SECONDS = 180
GRAVE = ("moderate", "high", "critical")


@dataclass
class Answer:
    """What an index said: advisories by package, how many packages it knows nothing of, and of how many it was asked;
    `silent`: why it did not answer at all.
    """

    index: str
    advisories: list[str] = field(default_factory=list)
    unknown: int = 0
    asked: int = 0
    silent: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every package was looked up."""
        return not self.silent and not self.unknown

    def __str__(self) -> str:
        """One line of the report."""
        if self.advisories:
            return f"{self.index}: {'; '.join(self.advisories)}"
        if self.silent:
            return f"{self.index}: NOT AUDITED, {self.silent}"
        if self.unknown:
            return f"{self.index}: NOT AUDITED, {self.unknown} of {self.asked} packages are not known to it"
        return f"{self.index}: {self.asked} packages, no advisory"


def of_pypi(report: str) -> Answer:
    """Read what pip-audit wrote."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return Answer("PyPI", silent="pip-audit gave no report")
    answer = Answer("PyPI", asked=len(packages), unknown=sum("skip_reason" in each for each in packages))
    for each in packages:
        named = ", ".join(advisory["id"] for advisory in each.get("vulns", ()))
        if named:
            answer.advisories.append(f"{each['name']} {each['version']}: {named}")
    return answer


def of_npm(report: str) -> Answer:
    """Read what `npm audit --json` wrote; low ones do not count."""
    try:
        found = json.loads(report)
        counts: dict[str, int] = found["metadata"]["vulnerabilities"]
    except (ValueError, KeyError, TypeError):
        return Answer("npm", silent="its advisory service did not answer")
    answer = Answer("npm", asked=int(found["metadata"].get("dependencies", {}).get("total", 0)))
    if any(counts.get(grade) for grade in GRAVE):
        named = {name: each for name, each in found.get("vulnerabilities", {}).items() if each["severity"] in GRAVE}
        answer.advisories = [f"{name}: {each['severity']}" for name, each in sorted(named.items())]
    return answer


def ask() -> list[Answer]:
    """Ask both indexes."""
    return [of_pypi(_pip_audit()), of_npm(_told(["npm", "audit", "--audit=true", "--json"], FRONTEND))]


def _pip_audit() -> str:
    python = TOOL / "bin" / "python"
    if not python.exists():
        venv.create(TOOL, with_pip=True)
    _told([str(python), "-m", "pip", "install", "-q", PIP_AUDIT], ROOT)
    options = ["-f", "json", "--progress-spinner", "off", "--disable-pip", "--no-deps", "-r", "requirements.lock"]
    return _told([str(python), "-m", "pip_audit", *options], ROOT)


def _told(command: list[str], folder: Path) -> str:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def main(arguments: list[str]) -> int:
    """Ask, say what was answered; 1 for an advisory, 2 (`--strict`) where an index did not answer."""
    strict = "--strict" in arguments
    mark = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()[:16]
    kept = TOOL.with_name(f"advisories-{datetime.now(UTC):%Y-%m-%d}-{mark}.txt")
    if kept.exists() and not strict:
        print(kept.read_text(encoding="utf-8"), end="")
        return 0
    answers = ask()
    text = "".join(f"advisories: {answer}\n" for answer in answers)
    print(text, end="")
    if any(answer.advisories for answer in answers):
        return 1
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text, encoding="utf-8")
    return 2 if strict and not all(answer.is_whole for answer in answers) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
