"""Everything a request needs, built once at start and passed on; nothing in this package is global."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import httpx
from celery import Celery
from jinja2 import Environment
from sqlalchemy import Engine

from konsil.celery_app import BrokerSettings, create_celery, notify
from konsil.database import sync_engine
from konsil.http_client import guarded_async_client
from konsil.outbox import Runner
from smart_app.flash import FlashStore
from smart_app.oauth import OAuthClient
from smart_app.settings import Settings, origin_of
from smart_app.store.drafts import DraftStore
from smart_app.store.models import outbox
from smart_app.store.provisioned import ProvisionedStore
from smart_app.store.seen import SeenStore
from smart_app.store.sessions import SessionStore
from smart_app.store.writebacks import WritebackStore
from smart_app.templating import environment
from smart_app.tour import TourStore


@dataclass
class Clients:
    """Guarded HTTP clients, one for each set of origins: a token of one hospital cannot be sent to another."""

    _made: dict[frozenset[str], httpx.AsyncClient] = field(default_factory=dict)

    def for_origins(self, origins: Collection[str]) -> httpx.AsyncClient:
        """The client that reaches these origins and no other."""
        key = frozenset(origins)
        if key not in self._made:
            self._made[key] = guarded_async_client(key, timeout_seconds=20)
        return self._made[key]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._made.values():
            await client.aclose()
        self._made.clear()


@dataclass
class Services:
    """The app's parts; `create` makes them from the settings."""

    settings: Settings
    engine: Engine
    sessions: SessionStore
    provisioned: ProvisionedStore
    drafts: DraftStore
    seen: SeenStore
    writebacks: WritebackStore
    flashes: FlashStore
    tours: TourStore
    templates: Environment
    celery: Celery
    clients: Clients = field(default_factory=Clients)
    clock: Callable[[], float] = time.time
    _oauth: dict[frozenset[str], OAuthClient] = field(default_factory=dict)

    @classmethod
    def create(cls, settings: Settings) -> "Services":
        """Wire the parts; opens nothing but the database."""
        engine = sync_engine(settings.database)
        broker = BrokerSettings(settings.broker_url, settings.broker_folder, settings.sweep_seconds)
        return cls(
            settings=settings,
            engine=engine,
            sessions=SessionStore(engine),
            provisioned=ProvisionedStore(engine),
            drafts=DraftStore(engine),
            seen=SeenStore(engine),
            writebacks=WritebackStore(engine),
            flashes=FlashStore(engine),
            tours=TourStore(engine),
            templates=environment(settings),
            celery=create_celery("app", broker, lambda: Runner(engine, outbox, {})),
        )

    def own_origins(self) -> frozenset[str]:
        """Origins of konsil's own server."""
        return frozenset({origin_of(self.settings.fhir_base_url), origin_of(self.settings.fhir_issuer)})

    def oauth(self, origins: frozenset[str]) -> OAuthClient:
        """OAuth towards these origins; keeps their keys and endpoints."""
        if origins not in self._oauth:
            self._oauth[origins] = OAuthClient(self.clients.for_origins(origins))
        return self._oauth[origins]

    def ring(self) -> None:
        """Tell the workers that the outbox has work."""
        notify(self.celery)

    async def close(self) -> None:
        """Let go of connections."""
        await self.clients.close()
        self.engine.dispose()
