"""The examples of the FHIR R4 specification, for tests: the npm package hl7.fhir.r4.examples."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from deploy.setup.run import SetupError, cache_folder, run

PACKAGE = "hl7.fhir.r4.examples@4.0.1"
PACKAGE_SHA256 = "dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682"


def package() -> Path:
    """Where the package lies."""
    return cache_folder() / "r4" / "hl7.fhir.r4.examples.tgz"


def key() -> str:
    """Changes with the hash, the place, and when the package is gone."""
    return f"{PACKAGE_SHA256} {package()} {'there' if package().exists() else 'missing'}"


def install() -> None:
    """Fetch the package and check it.  One that is there already with the right hash is kept."""
    target = package()
    if target.exists() and _sha256(target) == PACKAGE_SHA256:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(["npm", "pack", PACKAGE, "--silent"], folder, "npm is needed, and its registry must be reachable.")
        fetched = next(folder.glob("*.tgz"))
        if _sha256(fetched) != PACKAGE_SHA256:
            raise SetupError(f"the fetched {PACKAGE} is not the one that was pinned: its hash differs")
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        shutil.copyfile(fetched, unfinished)
        unfinished.rename(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
