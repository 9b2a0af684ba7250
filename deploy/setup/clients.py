"""FHIR clients that others wrote and the tests drive: by hashes into a folder of their own, and by node's lock."""

import hashlib
import shutil
from pathlib import Path

from deploy.setup import frontend
from deploy.setup.run import cache_folder, run

PROGRAMS = Path(__file__).resolve().parent.parent.parent / "tests" / "conformance" / "clients"
REQUIREMENTS = PROGRAMS / "requirements.txt"


def python_folder() -> Path:
    """Where Python's packages lie: apart from .venv, since nothing of ours may come to use them."""
    return cache_folder() / f"fhir-clients-{_sha256()[:16]}"


def key() -> str:
    """Changes with the hashes, node's lock, and when something is gone."""
    return f"{_sha256()} {python_folder().exists()} {frontend.key(PROGRAMS)}".replace("False", "missing")


def install(root: Path) -> None:
    """Fetch what is missing; pip and npm check the hashes."""
    frontend.install(PROGRAMS)
    if python_folder().exists():
        return
    unfinished = python_folder().with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pip: list[str | Path] = [root / ".venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"]
    run(
        [*pip, "--only-binary", ":all:", "--target", unfinished, "-r", REQUIREMENTS], root, "Is the registry reachable?"
    )
    unfinished.rename(python_folder())


def _sha256() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
