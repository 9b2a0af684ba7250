"""The Python environment `.venv`: locked packages with hashes, then this tree itself."""

import importlib.util
import sys
from pathlib import Path

from deploy.setup import debian
from deploy.setup.run import key_of, run

_PACKAGES = ("konsil", "fhir_server", "smart_app", "dicom_gateway", "deploy")
_REGISTRY = "Is the Python package registry reachable?"


def key(root: Path) -> str:
    """Changes with the lock, the project file, the interpreter, and when the environment is gone."""
    there = str((root / ".venv" / "bin" / "python").exists())
    return key_of([root / "requirements.lock", root / "pyproject.toml"], sys.version, sys.executable, there and "there")


def install(root: Path) -> None:
    """Make or complete the environment.

    Byte code is written here: with PYTHONDONTWRITEBYTECODE set no program would ever write it, and each start would
    compile everything again.  A `.venv` that is a link belongs to another tree and is left as it is.
    """
    if (root / ".venv").is_symlink():
        return
    if importlib.util.find_spec("ensurepip") is None:
        debian.install_packages(["python3-venv"])
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", root / ".venv"], root, "Remove .venv and try again.")
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", "requirements.lock"], root, _REGISTRY)
    run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], root, "See the lines above.")
    compiled = [root / package for package in _PACKAGES]
    run([python, "-m", "compileall", "-q", "-j", "0", root / ".venv" / "lib", *compiled], root, "See the lines above.")
