"""Small FHIR NPM packages, written by the test that needs one."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Resource = dict[str, Any]


def write_package(path: Path, manifest: Mapping[str, Any], files: Mapping[str, Resource | bytes]) -> Path:
    """Write a .tgz with `package/package.json` and these files below `package/`."""
    described = {"name": "org.example.test", "version": "1.0.0", "fhirVersions": ["4.0.1"]} | dict(manifest)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"package.json": described, **files}.items():
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return path


def code_system(url: str, version: str = "1.0.0", **changes: Any) -> Resource:
    """A code system of colours with a hierarchy: red has scarlet and crimson; crimson has deep-crimson."""
    concepts = [
        {
            "code": "red",
            "display": "Red",
            "concept": [
                {"code": "scarlet", "display": "Scarlet"},
                {"code": "crimson", "display": "Crimson", "concept": [{"code": "deep-crimson", "display": "Deep"}]},
            ],
        },
        {"code": "blue", "display": "Blue"},
    ]
    return {
        "resourceType": "CodeSystem",
        "id": url.rpartition("/")[2],
        "url": url,
        "version": version,
        "status": "active",
        "content": "complete",
        "concept": concepts,
    } | changes
