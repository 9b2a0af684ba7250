"""Torn journal parts: segments with a record that is no record, kept beside.

What is whole in one is taken in, also behind the break; then it is kept as `.recovered` for some days, and removed.
"""

import logging
import time
from pathlib import Path

from dicom_gateway.gateway import Gateway
from dicom_gateway.journal import read_whole

RECOVERED_SECONDS = 30 * 86_400.0
logger = logging.getLogger(__name__)


def torn(gateway: Gateway) -> list[Path]:
    """The parts from which nothing has been recovered yet."""
    return sorted(folder_of(gateway).glob("*.torn"))


def recovered(gateway: Gateway) -> list[Path]:
    """The parts that wait to be removed."""
    return sorted(folder_of(gateway).glob("*.recovered"))


def folder_of(gateway: Gateway) -> Path:
    """Where the journal lies."""
    return gateway.settings.data_dir / "journal"


def recover(gateway: Gateway, path: Path) -> int:
    """Take in all that is whole in one part; equal bytes are known already.  Raises OSError, SQLAlchemyError."""
    number = gateway.ingest.take_in(path.name, lambda take: read_whole(path, take))
    path.rename(path.with_suffix(".recovered"))
    path.with_suffix(".recovered").touch()
    logger.info("journal part %s: %d whole records", path.name, number)
    return number


def remove_old(gateway: Gateway) -> int:
    """Remove what was recovered long ago."""
    old = [path for path in recovered(gateway) if path.stat().st_mtime < time.time() - RECOVERED_SECONDS]
    for path in old:
        path.unlink()
    return len(old)
