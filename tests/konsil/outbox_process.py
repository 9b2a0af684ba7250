"""A runner in a process of its own, for tests that need two or one to kill: `outbox_process.py URL LOG SECONDS`.

Each row's handler appends "start ID" to LOG, works for SECONDS, appends "end ID".
"""

import sys
import time
from pathlib import Path

from sqlalchemy import MetaData

from konsil.database import sync_engine
from konsil.outbox import Job, Policy, Runner, outbox_table


def main(url: str, log: Path, seconds: float) -> None:
    def note(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    def work(job: Job) -> None:
        note(f"start {job.id} {job.payload.get('group')}")
        time.sleep(seconds)
        note(f"end {job.id} {job.payload.get('group')}")

    policy = Policy(lease_seconds=1)
    runner = Runner(sync_engine(url), outbox_table(MetaData()), {"work": work}, policy=policy)
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < 1.5:
        if runner.run_due():
            idle_since = time.monotonic()
        time.sleep(0.05)


main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
