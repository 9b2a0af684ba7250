"""kombu's filesystem transport with whole messages: written aside and renamed in, claimed by renaming.

kombu's own writes the message after its file has appeared, so that a reader can get half of it and break off; and it
claims by moving to the temporary folder, which is a copy when that lies on another file system.
"""

import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

SCHEME = "konsil-files"
_WAIT_SECONDS = 0.5
TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Channel(filesystem.Channel):
    """One connection's view of the folder."""

    @property
    def _folder(self) -> Path:
        return Path(self.data_folder_in)

    def _put(self, queue: str, payload: dict[str, Any], **_: object) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        aside = self._folder / f".{name}"
        aside.write_text(dumps(payload), encoding="utf-8")
        aside.rename(self._folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in sorted(os.listdir(self._folder)):
            if name.partition(".")[2] != f"{queue}.msg" or name.startswith("."):
                continue
            claimed = self._folder / f".{name}.{os.getpid()}"
            try:
                (self._folder / name).rename(claimed)
            except FileNotFoundError:
                continue  # another worker was quicker
            text = claimed.read_text(encoding="utf-8")
            claimed.unlink()
            return loads(text)
        raise Empty


class Transport(filesystem.Transport):
    """The transport behind `filesystem://`."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: object) -> None:
        """Wait half a second at most: Celery looks only in between whether it shall stop."""
        super().drain_events(connection, timeout=min(timeout or _WAIT_SECONDS, _WAIT_SECONDS))
