"""The worker: what runs the outbox of smart_app."""

from celery import Celery

from konsil.celery_app import BrokerSettings, create_celery
from konsil.database import sync_engine
from konsil.outbox import Runner
from smart_app.settings import Settings
from smart_app.store.models import outbox


def create_worker(settings: Settings) -> Celery:
    """The Celery application of the worker; its runner opens the database when it is first needed."""
    broker = BrokerSettings(settings.broker_url, settings.broker_folder, settings.sweep_seconds)
    return create_celery("app", broker, lambda: Runner(sync_engine(settings.database), outbox, {}))
