"""Debian packages that only the tests need: real peers."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.setup.run import SetupError, run

PACKAGES = (
    "chromium",
    "dcmtk",
    "dicom3tools",
    "orthanc",
    "orthanc-dicomweb",
    "poppler-utils",
    "postgresql",
    "redis-server",
    "strace",
)
_POLICY = Path("/usr/sbin/policy-rc.d")


def key() -> str:
    """Changes with what is missing: ready when nothing is."""
    return f"missing: {' '.join(_missing())}"


def install() -> None:
    """Install what is missing, when we are root and this is Debian; else say what the tests will leave out.

    No service may start: the tests run their own, on ports of their own.
    """
    missing = _missing()
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"  not installed, so tests that need them are left out: {' '.join(missing)}", flush=True)
        return
    install_packages(missing)
    if _missing():
        raise SetupError(f"still missing: {' '.join(_missing())}")


def install_packages(names: Sequence[str]) -> None:
    """Install Debian packages without starting a service.  Raises SetupError when this is not root on Debian."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"please install first: {' '.join(names)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    with _no_services():
        run(["apt-get", "update", "-q"], Path("/"), "Are Debian's packages reachable?")
        options = ["-q", "-y", "--no-install-recommends"]
        run(["apt-get", "install", *options, *names], Path("/"), "Are Debian's packages reachable?")


def _missing() -> list[str]:
    return [package for package in PACKAGES if not _installed(package)]


def _installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(command, capture_output=True, check=False).stdout == b"installed"


@contextmanager
def _no_services() -> Iterator[None]:
    """Forbid service starts while packages are installed; a policy that is there already is left alone."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
