"""Keycloak for the full tests: the distribution on Maven Central, checked by its hash, built for a start in memory."""

import os
import shutil
import zipfile
from pathlib import Path

from deploy.setup.run import SetupError, cache_folder, run, sha256

VERSION = "26.4.5"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
SHA256 = "72f73642a2c36de797d51b4b2b342d4a49f6e5832af10aa470cd123627bd80b3"
BUILD = ("build", "--db=dev-mem")


def folder() -> Path:
    """Where it lies."""
    return cache_folder() / f"keycloak-{VERSION}-{SHA256[:8]}"


def key() -> str:
    """Changes with the hash, how it is built, and when it is gone."""
    return f"{SHA256} {BUILD} {folder()} {'there' if folder().exists() else 'missing'}"


def install() -> None:
    """Fetch, check, unpack and build it.  One that is there already is kept."""
    if folder().exists():
        return
    unfinished = folder().with_name(f"{folder().name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    copy: list[str | Path] = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}"]
    hint = "Java and Maven are needed, and Maven Central must be reachable."
    run([*copy, f"-DoutputDirectory={unfinished}"], unfinished, hint)
    fetched = next(unfinished.glob("*.zip"))
    if sha256(fetched) != SHA256:
        raise SetupError(f"the fetched {ARTIFACT} is not the one that was pinned: its hash differs")
    with zipfile.ZipFile(fetched) as archive:
        archive.extractall(unfinished)
    fetched.unlink()
    home = unfinished / f"keycloak-{VERSION}"
    os.chmod(home / "bin" / "kc.sh", 0o755)  # noqa: S103 (zipfile forgets who may run it)
    run([home / "bin" / "kc.sh", *BUILD], home, "See the lines above.")
    home.rename(folder())
    shutil.rmtree(unfinished)
