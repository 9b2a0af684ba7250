"""Running the set-up's commands, and keys that tell whether a step's inputs have changed."""

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path


class SetupError(Exception):
    """A step cannot be done; the text says what to do about it."""


def run(command: Sequence[str | Path], cwd: Path, hint: str) -> None:
    """Run a command; its output is shown only when it fails.  Raises SetupError with the hint."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError as error:
        raise SetupError(f"{words[0]} is not installed. {hint}") from error
    if done.returncode:
        print(done.stdout.decode(errors="replace"), flush=True)
        raise SetupError(f"`{' '.join(words[:6])}` failed. {hint}")


def key_of(paths: Iterable[Path], *words: str) -> str:
    """A hash over files, those that are missing included, and words."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b"missing"
        digest.update(hashlib.sha256(content).digest())
    for word in words:
        digest.update(word.encode() + b"\0")
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where downloads are kept for the next time: `konsil` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konsil"


def sha256(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
