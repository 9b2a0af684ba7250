"""The reactor really waits before a request is sent."""

import threading
import time

from dicom_gateway.dimse.checkpoint import Checkpoint


def test_clear_returns_only_when_the_reactor_waits() -> None:
    checkpoint, ended, passed = Checkpoint(), threading.Event(), []

    def reactor() -> None:
        while not ended.is_set():
            checkpoint.wait()
            time.sleep(0.005)
            passed.append(time.monotonic())

    thread = threading.Thread(target=reactor)
    thread.start()
    for _ in range(50):
        checkpoint.clear()
        stopped = len(passed)
        time.sleep(0.007)
        assert len(passed) == stopped
        checkpoint.set()
    ended.set()
    thread.join()


def test_clear_does_not_wait_for_ever_for_a_reactor_that_has_ended() -> None:
    started = time.monotonic()
    Checkpoint().clear()
    assert time.monotonic() - started < 5
