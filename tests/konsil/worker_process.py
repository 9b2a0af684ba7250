"""A Celery worker in a process of its own: `worker_process.py DATABASE_URL BROKER_URL FOLDER SWEEP_SECONDS LOG`."""

import sys
from pathlib import Path

from celery import Celery
from sqlalchemy import MetaData

from konsil.celery_app import BrokerSettings, create_celery, run_worker
from konsil.database import sync_engine
from konsil.outbox import Job, Runner, outbox_table
from konsil.telemetry import configure_logging


def program(database_url: str, broker: BrokerSettings, log: Path) -> Celery:
    def work(job: Job) -> None:
        with log.open("a") as file:
            file.write(f"{job.payload['number']}\n")

    def runner() -> Runner:
        table = outbox_table(MetaData())
        return Runner(sync_engine(database_url), table, {"work": work}, release=lambda: print("released"))

    return create_celery("test", broker, runner)


if __name__ == "__main__":
    configure_logging("test")
    broker = BrokerSettings(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
    run_worker(program(sys.argv[1], broker, Path(sys.argv[5])))
