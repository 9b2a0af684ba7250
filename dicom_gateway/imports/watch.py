"""The watched folder: media put there are imported when complete, then moved to `done` or `failed` with a report.

Complete is what has not changed for some seconds: no size, no time, no file more.  A medium is a file or a folder
directly below; names that begin with a dot, and links, are left alone.  One gateway process looks at a time.
"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.gateway import Gateway
from dicom_gateway.import_files import Door, Imported, MediumRefused, import_medium

QUIET_SECONDS, LOOK_SECONDS = 10.0, 5.0
DONE, FAILED = "done", "failed"
logger = logging.getLogger(__name__)

Look = tuple[tuple[str, int, int], ...]


class Watcher:
    """What one process has seen of the folder, so that it knows what no longer changes."""

    def __init__(self, gateway: Gateway, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with having seen nothing."""
        self._gateway = gateway
        self._clock = clock
        self._seen: dict[str, tuple[Look, float]] = {}

    def look(self) -> int:
        """Import what is complete; tells how many media that were.  A folder that is not there is looked for again."""
        folder = self._gateway.settings.watch_folder
        if folder is None or not folder.is_dir():
            return 0
        with _alone(self._gateway.settings.data_dir / "watch.lock") as alone:
            return sum(self._take(path) for path in sorted(folder.iterdir()) if alone and self._complete(path))

    def _complete(self, path: Path) -> bool:
        if path.name.startswith(".") or path.name in {DONE, FAILED} or path.is_symlink():
            return False
        look, now = as_it_is(path), self._clock()
        before = self._seen.get(path.name)
        if before is None or before[0] != look:
            self._seen[path.name] = (look, now)
            return False
        return now - before[1] >= QUIET_SECONDS

    def _take(self, path: Path) -> bool:
        self._seen.pop(path.name, None)
        try:
            imported = import_medium(Door(self._gateway.ingest), path)
        except (MediumRefused, OSError) as error:
            problem = str(error) if isinstance(error, MediumRefused) else "the medium cannot be read"
            move(path, FAILED, {"problem": problem})
        else:
            good = imported.kept and not imported.refused and not imported.missing
            move(path, DONE if good else FAILED, report(imported))
        return True


def as_it_is(path: Path) -> Look:
    """Names, sizes and times of a medium's files."""
    paths = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    found = []
    for each in paths:
        try:
            status = each.lstat()
        except FileNotFoundError:
            continue
        found.append((str(each), status.st_size, status.st_mtime_ns))
    return tuple(found)


def report(imported: Imported) -> dict[str, object]:
    """What became of a medium."""
    return {
        "kept": imported.kept,
        "studies": {uid: len(uids) for uid, uids in imported.studies.items()},
        "no_dicom": imported.passed_over,
        "refused": [{"file": name, "reason": reason} for name, reason in imported.refused],
        "listed_and_missing": imported.missing,
    }


def move(path: Path, outcome: str, content: dict[str, object]) -> None:
    """Put a medium away under a name that is free there, its report beside it."""
    folder = path.parent / outcome
    folder.mkdir(exist_ok=True)
    moment = datetime.now(UTC)
    target = folder / f"{moment:%Y%m%dT%H%M%S.%f}-{path.name}"
    text = json.dumps({"imported_at": moment.isoformat(timespec="seconds"), "medium": path.name, **content}, indent=2)
    target.with_name(f"{target.name}.report.json").write_text(text + "\n", encoding="utf-8")
    os.rename(path, target)
    logger.info("a medium of the watched folder is %s", outcome)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


class WatchThread(threading.Thread):
    """Looks at the watched folder until it is stopped; apart from the outbox, which large media would hold up."""

    def __init__(self, gateway: Gateway) -> None:
        """Do not begin yet."""
        super().__init__(name="watched folder", daemon=True)
        self._watcher, self._stopped = Watcher(gateway), threading.Event()

    def run(self) -> None:
        """Look; what goes wrong with the disk or the database may be over at the next look."""
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self._watcher.look()
            except (OSError, SQLAlchemyError):
                logger.exception("the watched folder could not be looked at")

    def stop(self) -> None:
        """Stop after the medium at hand."""
        self._stopped.set()
