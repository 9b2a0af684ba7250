"""One supervisor for a set of programs: start in order, wait for health, start again what dies, stop all together.

Each program runs in a process group of its own, so that a terminal's Ctrl-C reaches only the supervisor, and stopping a
program stops whatever it started.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from konsil.probe import busy_ports, healthy

STOP_SECONDS = 4.0
_TICK_SECONDS = 0.1
_STEADY_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 30.0
_LOG_BYTES = 20_000_000
_PR_SET_PDEATHSIG = 1
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


@dataclass(frozen=True)
class Program:
    """What to run: the command, its additions to the environment, the ports it will take, how to ask for its health.

    A program that runs `once` may end with status 0 and is then not started again.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
    health: str | None = None
    depends: Sequence[str] = ()
    once: bool = False


class StartError(Exception):
    """The set cannot be started as it is; nothing is left running."""


class _Child:
    """A program and its present process, if any."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.healthy = False
        self.finished = False
        self.started_at = 0.0
        self.deaths = 0
        self.next_start = 0.0

    def start(self) -> None:
        """Run the command in a new process group, standard output and error to the log."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                _argv(self.program.command),
                env={**os.environ, **self.program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self.started_at = time.monotonic()
        self.healthy = self.program.health is None

    def died(self) -> int | None:
        """The exit status, once, when the process has ended since the last look."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.signal(signal.SIGKILL)  # whatever it left behind in its group
        self.finished = self.program.once and status == 0
        self.process, self.healthy = None, self.finished
        lived = time.monotonic() - self.started_at
        self.deaths = 1 if lived > _STEADY_SECONDS else self.deaths + 1
        self.next_start = time.monotonic() + min(_LONGEST_PAUSE_SECONDS, 2.0 ** (self.deaths - 2))
        return status

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


class Supervisor:
    """Runs programs until `stop`; says what happens through `say`, one line each."""

    def __init__(self, programs: Sequence[Program], logs: Path, say: Callable[[str], None] = print) -> None:
        """Check the set.  Raises StartError for a name twice, an unknown or a circular dependency."""
        self._children = {
            program.name: _Child(program, logs / f"{program.name}.log") for program in _in_order(programs)
        }
        self._logs = logs
        self._say = say
        self._stopping = Event()

    def start(self, seconds: float = 60) -> bool:
        """Start everything, each when what it depends on is healthy; False when told to stop meanwhile.

        Raises StartError, with nothing left running, when a port is taken or a program does not become healthy in time.
        """
        programs = [child.program for child in self._children.values()]
        busy = busy_ports([(port, program.name) for program in programs for port in program.ports])
        if busy:
            raise StartError("\n".join(busy))
        self._logs.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + seconds
        while not all(child.healthy for child in self._children.values()):
            if self._stopping.is_set():
                self._stop_children()
                return False
            self._start_step(deadline)
            self._stopping.wait(_TICK_SECONDS)
        return True

    def watch(self) -> None:
        """Keep the programs running until `stop`, then stop them; what dies starts again after a growing pause."""
        while not self._stopping.wait(_TICK_SECONDS):
            for child in self._children.values():
                self._revive(child)
        self._stop_children()

    def stop(self) -> None:
        """Let `start` or `watch` end and stop all programs; may be called from a signal handler."""
        self._stopping.set()

    def process(self, name: str) -> int | None:
        """The process, and process group, of a program; None while it is down."""
        running = self._children[name].process
        return None if running is None else running.pid

    def healthy(self, name: str) -> bool:
        """Whether a program runs and has answered since its last start."""
        return self._children[name].healthy

    def _start_step(self, deadline: float) -> None:
        for child in self._children.values():
            if child.process is None and child.deaths == 0 and self._may_start(child.program):
                child.start()
                if child.healthy:
                    self._say(f"  {child.program.name} runs")
            elif not child.healthy and child.process is not None:
                self._await_health(child)
            problem = _problem(child, time.monotonic() > deadline)
            if problem:
                self._stop_children()
                raise StartError(f"{child.program.name} {problem}; its log is {child.log}\n{_tail(child.log)}")

    def _may_start(self, program: Program) -> bool:
        return all(self._children[name].healthy for name in program.depends)

    def _await_health(self, child: _Child) -> None:
        if child.program.health is not None and healthy(child.program.health):
            child.healthy = True
            self._say(f"  {child.program.name} is ready after {time.monotonic() - child.started_at:.1f} s")

    def _revive(self, child: _Child) -> None:
        if child.finished:
            return
        status = child.died()
        if status == 0 and child.program.once:
            self._say(f"{child.program.name} is done")
            return
        if status is not None:
            pause = max(0.0, child.next_start - time.monotonic())
            self._say(
                f"{child.program.name} ended ({_words(status)}); starting it again in {pause:.0f} s, log {child.log}"
            )
        if child.process is None and time.monotonic() >= child.next_start:
            child.start()
            self._say(f"{child.program.name} started again")
        elif child.process is not None and not child.healthy:
            self._await_health(child)

    def _stop_children(self) -> None:
        """SIGTERM to all at once, SIGKILL to whoever is left after STOP_SECONDS; returns when nothing is left."""
        running = [child for child in self._children.values() if child.process is not None]
        for child in running:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in running:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{child.program.name} did not stop in {STOP_SECONDS:.0f} s and was killed")
            child.signal(signal.SIGKILL)
            child.process.wait()
            child.process = None


def _end_with_parent() -> None:
    """In the child, before its command: get SIGTERM when the supervisor is killed (Linux; elsewhere nothing)."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _argv(command: Sequence[str]) -> list[str]:
    """`konsil ...` and `python ...` mean this interpreter's, whatever PATH says."""
    known = {"konsil": [sys.executable, "-m", "konsil"], "python": [sys.executable]}
    return [*known.get(command[0], [command[0]]), *command[1:]]


def _in_order(programs: Sequence[Program]) -> list[Program]:
    """The programs, each after those it depends on.  Raises StartError."""
    names = [program.name for program in programs]
    for program in programs:
        missing = [name for name in program.depends if name not in names]
        if missing or names.count(program.name) > 1:
            raise StartError(f"program {program.name}: {'a name twice' if not missing else f'depends on {missing}'}")
    ordered: list[Program] = []
    waiting = list(programs)
    while waiting:
        done = {program.name for program in ordered}
        free = [program for program in waiting if done.issuperset(program.depends)]
        if not free:
            raise StartError(f"programs depend on each other: {[program.name for program in waiting]}")
        ordered += free
        waiting = [program for program in waiting if program not in free]
    return ordered


def _problem(child: _Child, late: bool) -> str:
    status = child.died()
    if status is not None and not child.finished:
        return f"ended at once ({_words(status)})"
    if late and not child.healthy:
        return "did not become ready in time" if child.process else "could not start: what it depends on is not ready"
    return ""


def _words(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def _tail(log: Path, lines: int = 8) -> str:
    if not log.exists():
        return ""
    text = log.read_bytes()[-4000:].decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
