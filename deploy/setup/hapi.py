"""HAPI's validator and client for the full tests: the jars of tests/conformance/hapi/pom.xml, checked by one hash."""

import hashlib
import shutil
from pathlib import Path

from deploy.setup.run import SetupError, cache_folder, run

POM = Path(__file__).resolve().parent.parent.parent / "tests" / "conformance" / "hapi" / "pom.xml"
SHA256 = "f6ad9a7a66c2990d12a6e2b4a12d2df4fb0a5bba800e86f17c1253172e69d783"


def folder() -> Path:
    """Where the jars lie."""
    return cache_folder() / f"hapi-8.4.0-{SHA256[:8]}"


def key() -> str:
    """Changes with the hash and when the jars are gone."""
    return f"{SHA256} {folder()} {'there' if folder().exists() else 'missing'}"


def install() -> None:
    """Fetch the jars and check them.  Those that are there already are kept."""
    if folder().exists():
        return
    unfinished = folder().with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command: list[str | Path] = [
        "mvn",
        "-q",
        "-B",
        "-f",
        POM,
        "dependency:copy-dependencies",
        f"-DoutputDirectory={unfinished}",
    ]
    run(command, POM.parent, "Java and Maven are needed, and Maven Central must be reachable.")
    if _sha256(unfinished) != SHA256:
        raise SetupError("the jars of HAPI's validator are not those that were pinned: their hash differs")
    unfinished.rename(folder())


def _sha256(jars: Path) -> str:
    """One hash of every jar's name and content."""
    whole = hashlib.sha256()
    for jar in sorted(jars.glob("*.jar")):
        whole.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
