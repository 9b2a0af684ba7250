"""What C-GET and C-MOVE have in common as SCU: counted sub-operations, cancelling, and a watchdog.  PS3.4 C.4.2, C.4.3

No `dimse_timeout` ends them: archives may need minutes to load a tape.  They end when nothing has moved for a while.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from dicom_gateway.status import is_pending

MESSAGE_ID = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a C-GET or C-MOVE ended: `status` None when the peer gave none; the counters are the peer's own."""

    status: int | None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    failed_uids: tuple[str, ...] = ()
    comment: str = ""
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """What to do while sub-operations run, once a second and more: tell `progress`, ask whether to `stop`.

    Neither may raise; `progress` is called from two threads.
    """

    stop: Callable[[], bool]
    progress: Callable[[], None]


class Watch:
    """Minds an association while its peer works, and while it stays silent: progress, C-CANCEL, an end to silence.

    `count`: anything that grows while instances arrive elsewhere.
    """

    def __init__(
        self, assoc: Association, hooks: Follow, seconds: float, count: Callable[[], int] | None = None
    ) -> None:
        self._assoc = assoc
        self._hooks = hooks
        self._seconds = seconds
        self._count = count or (lambda: 0)
        self._moved = threading.Event()
        self._ended = threading.Event()
        self.fired = False
        self.cancelled = False

    def touch(self) -> None:
        """Say that something moved."""
        self._moved.set()

    def look(self, model: str) -> None:
        """Tell progress; send C-CANCEL, once, when it is time to stop.  PS3.4 C.4.2.3.1"""
        self._hooks.progress()
        if not self.cancelled and self._hooks.stop():
            self.cancelled = True
            with suppress(RuntimeError, ValueError):  # the association may have ended meanwhile
                self._assoc.send_c_cancel(MESSAGE_ID, query_model=model)

    @contextmanager
    def running(self, model: str) -> Iterator["Watch"]:
        """Watch while the block runs; `model` is what a C-CANCEL is for."""
        thread = threading.Thread(target=self._run, args=(model,), daemon=True, name="watchdog")
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _run(self, model: str) -> None:
        step = max(0.05, min(1.0, self._seconds / 4))
        silent, seen = 0.0, self._count()
        while not self._ended.wait(step):
            self.look(model)
            now = self._count()
            moved = self._moved.is_set() or now != seen
            self._moved.clear()
            silent, seen = (0.0 if moved else silent + step), now
            if silent >= self._seconds:
                self.fired = True
                self._assoc.abort()
                self._assoc.dimse.msg_queue.put((None, None))  # wakes whoever waits for an answer
                return


def follow(model: str, answers: Iterable[tuple[Dataset, Any]], watch: Watch) -> Outcome:
    """Read answers to the end.  PS3.4 C.4.2.3.1"""
    with watch.running(model):
        for answer, identifier in answers:
            watch.touch()
            status = answer.get("Status")
            if status is None:
                break
            if not is_pending(status):
                return _outcome(answer, identifier, watch.cancelled)
            watch.look(model)
    return Outcome(None, cancelled=watch.cancelled)


def _outcome(answer: Dataset, identifier: Dataset | None, cancelled: bool) -> Outcome:
    uids = identifier.get("FailedSOPInstanceUIDList") if identifier is not None else None
    if uids is None:
        failed_uids: tuple[str, ...] = ()
    else:
        failed_uids = (uids,) if isinstance(uids, str) else tuple(map(str, uids))
    return Outcome(
        status=int(answer.Status),
        completed=answer.get("NumberOfCompletedSuboperations"),
        failed=answer.get("NumberOfFailedSuboperations"),
        warning=answer.get("NumberOfWarningSuboperations"),
        failed_uids=tuple(uid for uid in failed_uids if uid),
        comment=str(answer.get("ErrorComment", "")),
        cancelled=cancelled,
    )
