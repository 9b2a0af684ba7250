"""The supervisor over real processes: order, health, ports, deaths, and an end that leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from konsil.probe import busy_ports, healthy
from konsil.supervise import Program, StartError, Supervisor

ROOT = Path(__file__).parent.parent.parent
SERVER = "import http.server as h, sys; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time; p = subprocess.Popen(['sleep', '601']); print(p.pid, flush=True); time.sleep(600)"
)


def server(name: str, port: int, **options: Any) -> dict[str, Any]:
    command = ["python", "-c", SERVER, str(port)]
    return {"name": name, "command": command, "ports": [port], "health": f"http://127.0.0.1:{port}/", **options}


def script(name: str, code: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "command": ["python", "-c", code], **options}


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@dataclass
class Up:
    """`konsil up` in a process of its own."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, *programs: dict[str, Any], **rest: Any) -> None:
        file = self.folder / "demo.json"
        file.write_text(json.dumps({"programs": programs, "fhir": "for others", **rest}))
        with (self.folder / "said").open("wb") as said:
            command = [sys.executable, "-m", "konsil", "up", str(file)]
            self.process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT)

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def wait_for(self, words: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def log(self, name: str) -> str:
        return (self.folder / "log" / f"{name}.log").read_text()

    def children(self) -> list[int]:
        assert self.process is not None
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def end(self, number: int = signal.SIGINT) -> float:
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        assert self.process.wait(10) == 0, self.said()
        return time.monotonic() - started


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.end(signal.SIGTERM)


def test_everything_starts_in_order_says_so_and_ends_with_ctrl_c(up: Up, free_port: Callable[[], int]) -> None:
    first, second = free_port(), free_port()
    person = {"name": "Dr. Ada Byron", "role": "consultant", "user": "ada", "password": "word", "try": "Sign."}
    door = {"url": f"http://127.0.0.1:{first}/", "people": [person]}
    programs = [server("second", second, depends=["first"]), server("first", first), script("worker", SLEEP)]
    up.start(*programs, open=door)
    up.wait_for("user ada   password word")
    assert up.said().index("first is ready") < up.said().index("second is ready") < up.said().index(door["url"])
    assert "      Sign.\n" in up.said()
    children = up.children()
    assert len(children) == 3
    assert up.end() < 5
    assert not any(map(alive, children))
    assert "Everything is stopped." in up.said()
    assert "GET / HTTP" in up.log("first")


def test_a_dead_program_is_started_again_and_said_so(up: Up) -> None:
    up.start(script("worker", SLEEP), script("other", SLEEP))
    up.wait_for("Everything runs")
    victim = up.children()[0]
    os.kill(victim, signal.SIGKILL)
    up.wait_for("ended (signal SIGKILL); starting it again in")
    up.wait_for("started again")
    assert len(up.children()) == 2
    assert victim not in up.children()


def test_a_revived_program_counts_as_healthy_when_it_answers(tmp_path: Path, free_port: Callable[[], int]) -> None:
    said: list[str] = []
    supervisor = Supervisor([Program(**server("app", free_port()))], tmp_path, said.append)
    assert supervisor.process("app") is None
    assert supervisor.start()
    watcher = Thread(target=supervisor.watch)
    watcher.start()
    try:
        victim = supervisor.process("app")
        assert victim is not None
        os.killpg(victim, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while sum("is ready after" in line for line in said) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert supervisor.healthy("app")
        assert supervisor.process("app") not in (None, victim)
    finally:
        supervisor.stop()
        watcher.join()
    assert supervisor.process("app") is None


def test_a_program_that_runs_once_is_done_when_it_ends_well(up: Up) -> None:
    up.start(script("worker", SLEEP), script("maker", "print('made')", once=True, depends=["worker"]))
    up.wait_for("maker is done")
    time.sleep(0.5)
    assert up.log("maker").count("made") == 1
    assert "started again" not in up.said()


def test_a_program_that_runs_once_and_fails_is_started_again(up: Up) -> None:
    fails_once = "mark = pathlib.Path(sys.argv[1]); seen = mark.exists(); mark.touch(); sys.exit(not seen)"
    command = ["python", "-c", f"import pathlib, sys, time; time.sleep(1); {fails_once}", str(up.folder / "mark")]
    up.start(script("worker", SLEEP), {"name": "maker", "command": command, "once": True})
    up.wait_for("maker ended (status 1); starting it again")
    up.wait_for("maker is done")


def test_sigterm_ends_also_who_is_deaf_and_who_was_left_behind(up: Up) -> None:
    up.start(script("stubborn", STUBBORN), script("parent", PARENT))
    up.wait_for("Everything runs")
    deadline = time.monotonic() + 10
    while not (up.log("parent").strip() and up.log("stubborn").strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    grandchild = int(up.log("parent"))
    assert alive(grandchild)
    children = up.children()
    assert up.end(signal.SIGTERM) < 5
    assert not any(map(alive, [*children, grandchild]))
    assert "stubborn did not stop in 4 s and was killed" in up.said()


def test_a_killed_supervisor_leaves_nobody(up: Up) -> None:
    up.start(script("worker", SLEEP))
    up.wait_for("Everything runs")
    (child,) = up.children()
    assert up.process is not None
    up.process.kill()
    up.process.wait()
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(child)


def test_a_busy_port_is_named_before_anything_starts(up: Up, free_port: Callable[[], int]) -> None:
    port = free_port()
    neighbour = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        while not healthy(f"tcp:127.0.0.1:{port}"):
            time.sleep(0.02)
        up.start(script("worker", SLEEP), server("app", port))
        assert up.process is not None
        assert up.process.wait(10) == 1
        assert (
            f"port {port}, which app needs, is in use by another program (python, process {neighbour.pid})" in up.said()
        )
        assert not (up.folder / "log").exists()
    finally:
        neighbour.kill()
        neighbour.communicate()


def test_a_program_that_breaks_at_the_start_is_shown_with_its_last_words(up: Up) -> None:
    up.start(script("worker", SLEEP), script("broken", "import sys; sys.exit('no database')", health="tcp:127.0.0.1:1"))
    assert up.process is not None
    assert up.process.wait(10) == 1
    assert "broken ended at once (status 1)" in up.said()
    assert "no database" in up.said()


def test_two_supervisors_never_share_a_folder(up: Up) -> None:
    up.start(script("worker", SLEEP))
    up.wait_for("Everything runs")
    again = Up(up.folder)
    command = [sys.executable, "-m", "konsil", "up", str(up.folder / "demo.json")]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (second.returncode, "already running" in second.stderr) == (1, True)
    reset = [sys.executable, "-m", "deploy.setup.reset", str(again.folder)]
    refused = subprocess.run(reset, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (1, "The demo is running: stop it with Ctrl-C first.\n")


def test_reset_removes_a_stopped_demo_and_nothing_else(tmp_path: Path) -> None:
    def reset(folder: Path) -> int:
        command = [sys.executable, "-m", "deploy.setup.reset", str(folder)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode

    demo, other = tmp_path / "demo", tmp_path / "other"
    for folder, name in ((demo, "demo.json"), (other, "thesis.txt")):
        folder.mkdir()
        (folder / name).touch()
    assert (reset(demo), reset(demo), reset(other)) == (0, 0, 1)
    assert (demo.exists(), (other / "thesis.txt").exists()) == (False, True)


@pytest.mark.parametrize(
    "programs",
    [
        [Program("a", ["true"], depends=["b"]), Program("b", ["true"], depends=["a"])],
        [Program("a", ["true"], depends=["nobody"])],
        [Program("a", ["true"]), Program("a", ["true"])],
    ],
    ids=["circle", "unknown", "twice"],
)
def test_a_set_that_cannot_be_is_refused(tmp_path: Path, programs: list[Program]) -> None:
    with pytest.raises(StartError):
        Supervisor(programs, tmp_path)


def test_a_malformed_file_is_told_by_its_place(up: Up) -> None:
    up.start({"name": "a", "command": "not a list"})
    assert up.process is not None
    assert up.process.wait(10) == 1
    assert "programs.0.command" in up.said()


def test_a_free_port_is_not_busy(free_port: Callable[[], int]) -> None:
    assert busy_ports([(free_port(), "app")]) == []
