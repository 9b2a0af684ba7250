"""`python -m deploy.secret_scan`: no key, token or password of somebody's lies among the tracked files.

Small on purpose: forms that are secrets wherever they stand.  What a test needs it makes while it runs.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORMS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "private JWK": r'"d"\s*:\s*"[A-Za-z0-9_-]{40,}"',
    "signed token": r"\beyJ[A-Za-z0-9_-]{30,}\.eyJ[A-Za-z0-9_-]{30,}\.[A-Za-z0-9_-]{40,}",
    "cloud access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "code host token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[A-Za-z0-9_-]{20,})",
    "service token": r"\b(?:xox[abprs]-[A-Za-z0-9-]{20,}|sk_live_[A-Za-z0-9]{20,}|AIza[A-Za-z0-9_-]{35})",
    "master key": r"KONSIL_MASTER_KEY\s*[=:]\s*[\"']?[A-Za-z0-9+/]{43}=",
    "address with password": r"\b(?:postgresql|redis|amqp|https?)://[^\s:/@\"'{<]+:[^\s:/@\"'{<$]{8,}@(?!127\.|localhost|host/)",
}
VECTORS = "profiles/examples/signature/"
"""Signatures that are examples: both programs test against them, their key signs nothing else."""
PATTERNS = {name: re.compile(form) for name, form in FORMS.items()}
LONGEST = 5_000_000


def found(text: str) -> Iterator[tuple[int, str]]:
    """What looks like a secret: line and kind, never the secret itself."""
    for name, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, name


def tracked(root: Path) -> list[Path]:
    """The files that git knows, but for the vectors."""
    names = subprocess.run(["git", "ls-files", "-z", f":!{VECTORS}"], cwd=root, capture_output=True, check=True).stdout  # noqa: S607
    paths = [root / name.decode() for name in names.split(b"\0") if name]
    return [path for path in paths if path.is_file() and path.stat().st_size < LONGEST]


def main() -> None:
    """Say where, and end with status 1, when there is one."""
    problems = []
    for path in tracked(ROOT):
        content = path.read_bytes()
        if b"\0" not in content[:8000]:
            text = content.decode(errors="replace")
            problems += [f"{path.relative_to(ROOT)}:{line}: {kind}" for line, kind in found(text)]
    sys.exit("\n".join(problems) if problems else 0)


if __name__ == "__main__":
    main()
