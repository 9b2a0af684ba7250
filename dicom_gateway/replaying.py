"""The journal taken in by a process of its own: Python runs one thread at a time, and peers wait for the listener's.

Parent and child talk by pipes: a line asks, a line answers.  The child ends with its parent, however that ends.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO, Final

from dicom_gateway import journal
from dicom_gateway.ingest import Ingest
from dicom_gateway.settings import Settings

COMMAND: Final = (sys.executable, "-m", "konsil", "dicom", "replay")
NICE: Final = 5
STOP_SECONDS: Final = 10.0


class ReplayProcess:
    """Stands in for `Ingest.replay`; the process is started when there is something to take in."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir / "journal"
        self._process: subprocess.Popen[bytes] | None = None

    def replay(self) -> None:
        """Take in what the journal holds.  Raises OSError when the process has ended; the next call starts another."""
        if self._process is None and not journal.segments(self._folder):
            return
        process = self._process or subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes to the replaying process")
        try:
            process.stdin.write(b"\n")
            process.stdin.flush()
            answered = process.stdout.readline()
        except OSError:
            answered = b""
        if not answered:
            self.close()
            raise OSError("the replaying process has ended")

    def close(self) -> None:
        """Let it end what it is doing, and end; whoever waits for its answer gets none."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def serve(ingest: Ingest, asked: IO[bytes], answers: IO[bytes]) -> None:
    """Take the journal in for each line, as the child; less urgent than whatever waits for an answer."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's
    while asked.readline():
        answers.write(b"%d\n" % ingest.replay())
        answers.flush()
