"""Install OHIF: `npm pack` of one pinned tarball, checked by its hash, unpacked without what a hospital has no use for.

The package ships its built application, so none of its npm dependencies are needed. Left out: source maps and the
models of the browser-side segmentation (`ort`), three quarters of it. Text and WebAssembly are compressed once, here.
"""

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

PACK_SECONDS = 600
LEFT_OUT_FOLDERS = frozenset({"ort"})
LEFT_OUT_FILES = frozenset({"app-config.js", "google.js", "_headers", "_redirects", "init-service-worker.js", "sw.js"})
COMPRESSED_SUFFIXES = frozenset({".js", ".css", ".html", ".json", ".svg", ".wasm", ".xml"})
COMPRESS_FROM_BYTES = 1024
MARK = "konsil-viewer.json"


class InstallError(Exception):
    """The viewer could not be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Name, version and hash (Subresource Integrity form) of the one package that is installed, and the numbers of the
    parts that it opens with.
    """

    name: str
    version: str
    integrity: str
    opens_with: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """What `npm pack` calls the tarball."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


def pinned() -> Pin:
    """The pin shipped with this package."""
    content = json.loads(files(__package__).joinpath("ohif.lock.json").read_text("utf-8"))
    return Pin(content["name"], content["version"], content["integrity"], tuple(content["opens_with"]))


def installed(target: Path) -> bool:
    """Whether the pinned viewer stands in `target`, whole."""
    mark = target / MARK
    return mark.is_file() and json.loads(mark.read_text("utf-8")).get("integrity") == pinned().integrity


def install(target: Path, cache: Path | None = None) -> bool:
    """Put the pinned viewer into `target`; False when it is there already.

    The folder changes in one step, so a stopped installation leaves nothing half done. Raises InstallError.
    """
    pin = pinned()
    if installed(target):
        return False
    tarball = fetch(pin, cache or default_cache())
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".viewer-") as folder:
        fresh = Path(folder) / "viewer"
        unpack(tarball, fresh)
        compress(fresh)
        (fresh / MARK).write_text(json.dumps({"version": pin.version, "integrity": pin.integrity}), "utf-8")
        if target.exists():
            target.rename(Path(folder) / "former")
        fresh.rename(target)
    return True


def default_cache() -> Path:
    """The user's cache folder for downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konsil"


def fetch(pin: Pin, cache: Path) -> Path:
    """The tarball, from the cache or by npm from the registry it is configured for.  Raises InstallError."""
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / pin.file_name
    if kept.is_file() and integrity(kept) == pin.integrity:
        return kept
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = ["npm", "pack", f"{pin.name}@{pin.version}", "--pack-destination", folder, "--silent"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PACK_SECONDS, cwd=folder)
        except FileNotFoundError as error:
            raise InstallError("npm is not installed; the viewer is fetched with it.") from error
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise InstallError("npm could not fetch the viewer; is the registry reachable?") from error
        fetched = Path(folder) / pin.file_name
        if integrity(fetched) != pin.integrity:
            raise InstallError("The fetched viewer is not the pinned one: its hash differs.")
        fetched.replace(kept)
    return kept


def integrity(path: Path) -> str:
    """The SHA-512 of a file in Subresource Integrity form."""
    with path.open("rb") as stream:
        return "sha512-" + base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode("ascii")


def opens_with(folder: Path) -> list[tuple[str, str]]:
    """The parts that every study's opening asks for, one after the other unless it is told before: name and kind.

    The pin names them by number; the rest of a file's name is a hash.  What the package no longer has is left out.
    """
    found = (path.name for number in pinned().opens_with for path in sorted(folder.glob(f"{number}.*")))
    kinds = {".js": "script", ".css": "style"}
    return [(name, kinds[PurePosixPath(name).suffix]) for name in found if PurePosixPath(name).suffix in kinds]


def unpack(tarball: Path, target: Path) -> None:
    """The built application out of the tarball, with its licence."""
    with tarfile.open(tarball, "r:gz") as archive:
        for member, relative in wanted(archive):
            source = archive.extractfile(member)
            if source is None:
                continue
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def wanted(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Members that are installed, with their place; nothing may climb out of the folder."""
    for member in archive:
        parts = PurePosixPath(member.name).parts
        if not member.isfile() or ".." in parts:
            continue
        if parts[1:] == ("LICENSE",):
            yield member, PurePosixPath("LICENSE")
        elif parts[1:2] == ("dist",) and keeps(PurePosixPath(*parts[2:])):
            yield member, PurePosixPath(*parts[2:])


def keeps(path: PurePosixPath) -> bool:
    """Whether a file of the application is installed."""
    return path.parts[0] not in LEFT_OUT_FOLDERS and path.name not in LEFT_OUT_FILES and path.suffix != ".map"


def compress(folder: Path) -> None:
    """A `.gz` beside each file that shrinks."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in COMPRESSED_SUFFIXES and path.is_file() and path.stat().st_size >= COMPRESS_FROM_BYTES:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 6, mtime=0))
