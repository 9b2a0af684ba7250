"""What browsers get: npm packages by their locks, and the image viewer."""

from pathlib import Path

from deploy.setup.run import SetupError, cache_folder, key_of, run

_FOLDERS = ("smart_app/frontend", "dicom_gateway/viewer")
_HINT = "Node.js 18 or newer with npm is needed, and the npm registry must be reachable."


def folders(root: Path) -> list[Path]:
    """Folders that have npm packages."""
    return [root / name for name in _FOLDERS if (root / name / "package.json").exists()]


def key(folder: Path) -> str:
    """Changes with the package file, its lock, the build script, and when the packages are gone."""
    inputs = [folder / name for name in ("package.json", "package-lock.json", "build.mjs")]
    return key_of([*inputs, folder / "node_modules" / ".package-lock.json"])


def install(folder: Path) -> None:
    """Install exactly what the lock says and build what the package file says."""
    if not (folder / "package-lock.json").exists():
        raise SetupError(f"{folder} has no package-lock.json")
    run(["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"], folder, _HINT)
    run(["npm", "run", "build", "--if-present"], folder, "See the lines above.")


def has_viewer(root: Path) -> bool:
    """Whether the tree has the image viewer's pin."""
    return (root / "dicom_gateway" / "viewer" / "ohif.lock.json").exists()


def viewer() -> Path:
    """Where the viewer is installed: once for all trees, as its pin says which one it must be."""
    return cache_folder() / "viewer"


def viewer_key(root: Path) -> str:
    """Changes with the viewer's pin, its installer, and when the viewer is gone."""
    folder = root / "dicom_gateway" / "viewer"
    return key_of([folder / "ohif.lock.json", folder / "install.py", viewer() / "index.html"])


def install_viewer(root: Path) -> None:
    """Let the gateway fetch its viewer, check it and unpack it."""
    code = "import sys, pathlib; from dicom_gateway.viewer.install import install; install(pathlib.Path(sys.argv[1]))"
    run([root / ".venv" / "bin" / "python", "-c", code, viewer()], root, _HINT)
