"""A FHIR NPM package, `name-version.tgz`.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification"""

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fhir_server import wire
from fhir_server.errors import Invalid

FOLDER = "package"
MANIFEST = "package.json"
MAX_FILE_BYTES = 200_000_000
MAX_PACKAGE_BYTES = 2_000_000_000
Resource = dict[str, Any]


class BadPackage(Invalid):
    """The file is no package that this server can load; the text says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """What the manifest says, and where the file lies."""

    path: Path
    name: str
    version: str
    fhir_versions: tuple[str, ...]
    dependencies: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_r4(self) -> bool:
        """Whether it is made for R4; a manifest that does not say is taken at its word's absence."""
        return not self.fhir_versions or any(version.startswith("4.0") for version in self.fhir_versions)

    def __len__(self) -> int:
        """How many files may hold a resource. Raises BadPackage."""
        return sum(1 for name, _ in _files(self.path) if _may_hold_a_resource(name))

    def resources(self) -> Iterator[tuple[str, Resource | BadPackage]]:
        """Every JSON resource of the package's own folder with its file name: examples and copies in other forms stand
        in folders below. One that is not JSON comes as what is wrong with it. Raises BadPackage."""
        for name, body in _files(self.path):
            if not _may_hold_a_resource(name):
                continue
            try:
                content = wire.loads(body)
            except Invalid as error:
                yield name, BadPackage(error.diagnostics)
                continue
            if isinstance(content, dict) and isinstance(content.get("resourceType"), str):
                yield name, content


def _may_hold_a_resource(name: str) -> bool:
    return name != MANIFEST and not name.startswith(".")


def open_package(path: Path) -> Package:
    """Read the manifest. Raises BadPackage for what is no package, or none for R4."""
    body = next((body for name, body in _files(path) if name == MANIFEST), None)
    manifest = wire.loads(body) if body is not None else None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("name"), str):
        raise BadPackage(f"{path.name} has no {FOLDER}/{MANIFEST} with a name: it is no FHIR package.")
    versions = manifest.get("fhirVersions") or manifest.get("fhir-version-list") or []
    package = Package(
        path,
        manifest["name"],
        str(manifest.get("version", "")),
        tuple(str(version) for version in versions),
        {name: str(version) for name, version in (manifest.get("dependencies") or {}).items()},
    )
    if not package.is_r4:
        raise BadPackage(f"{package.name} is made for FHIR {', '.join(package.fhir_versions)}, this server is R4.")
    return package


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files directly in the package's folder; nothing is written to disk. Raises BadPackage."""
    total = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                total += member.size
                if total > MAX_PACKAGE_BYTES or member.size > MAX_FILE_BYTES:
                    raise BadPackage(f"{path.name} unpacks to more than this server reads.")
                if len(parts) != 2 or parts[0] != FOLDER or not parts[1].endswith(".json"):
                    continue
                stream = archive.extractfile(member)
                if stream is not None:
                    yield parts[1], stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise BadPackage(f"{path.name} cannot be read as a .tgz: {error}") from error
