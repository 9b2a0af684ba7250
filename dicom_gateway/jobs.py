"""What the gateway's workers do: the outbox's handlers by kind, and taking the journal in before each look."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from celery import Celery

from dicom_gateway import commitment_jobs, retrieve
from dicom_gateway.gateway import Gateway
from dicom_gateway.imports.watch import WatchThread
from dicom_gateway.index.models import outbox
from dicom_gateway.keeping import retention, torn
from dicom_gateway.keeping.holds import Act
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.handlers import begin
from dicom_gateway.publish.handlers import handlers as publish_handlers
from dicom_gateway.settings import Settings
from konsil.celery_app import BrokerSettings, create_celery
from konsil.outbox import Again, Job, NewJob, Runner, enqueue

PROGRAM = "dicom"
KEEPING, HOUR_SECONDS = "keeping", 3600.0
STUDIES_AN_HOUR = 500


def handlers(gateway: Gateway, exchange: Exchange | None) -> dict[str, Callable[[Job], Any]]:
    """Say who does what."""
    own: dict[str, Callable[[Job], Any]] = {KEEPING: partial(keep_house, gateway, exchange)}
    own |= {retention.REMOVE: partial(retention.remove_objects, gateway)}
    own |= {retrieve.KIND: partial(retrieve.step, gateway)} | commitment_jobs.handlers(gateway)
    return own | publish_handlers(gateway, exchange)


def keep_house(gateway: Gateway, exchange: Exchange | None, job: Job) -> Again:
    """What is due once an hour: torn journal parts, leavings of killed processes, studies whose time is over."""
    for path in torn.torn(gateway):
        torn.recover(gateway, path)
        job.renew()
    torn.remove_old(gateway)
    gateway.archive.sweep()
    for uid in islice(retention.due(exchange, gateway), STUDIES_AN_HOUR):
        with suppress(retention.Kept):
            retention.remove(exchange, gateway, Act(uid, "retention", "its time is over by the retention rules"))
        job.renew()
    return Again(HOUR_SECONDS)


class GatewayRunner(Runner):
    """Runs due rows; each look begins with what the journal holds, whoever left it there."""

    def __init__(self, gateway: Gateway) -> None:
        self.exchange = begin(gateway)
        super().__init__(gateway.engine, outbox, handlers(gateway, self.exchange))
        self._gateway = gateway
        with gateway.engine.begin() as connection:
            hourly = NewJob(KEEPING, {}, KEEPING, order_key=KEEPING)
            connection.execute(enqueue(outbox, connection.dialect.name, hourly))
        self._watching = WatchThread(gateway) if gateway.settings.watch_folder is not None else None
        if self._watching is not None:
            self._watching.start()

    def run_due(self, limit: int = 20) -> int:
        """Take the journal in, then run what is due.  Raises OSError, SQLAlchemyError."""
        self._gateway.ingest.replay()
        return super().run_due(limit)

    def close(self) -> None:
        """Close the connections to the FHIR server; look at the watched folder no more."""
        if self._watching is not None:
            self._watching.stop()
        if self.exchange is not None:
            self.exchange.close()


def create_worker(settings: Settings, gateway: Callable[[], Gateway]) -> Celery:
    """Make the Celery application of a gateway; `gateway` is called once, in the worker."""
    broker = BrokerSettings(
        settings.broker_url, settings.broker_dir or settings.data_dir / "broker", settings.sweep_seconds
    )
    return create_celery(PROGRAM, broker, lambda: GatewayRunner(gateway()))
