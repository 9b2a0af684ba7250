"""The worker: the cursor that finds signed reports, and the jobs that file them in the hospital's record.

The cursor is an outbox row that is never done: one worker at a time holds it, and another takes it over when that one
dies.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.to_thread import run_sync
from celery import Celery

from konsil.celery_app import BrokerSettings, create_celery
from konsil.database import sync_engine
from konsil.http_client import guarded_async_client, guarded_client
from konsil.oauth_client import BackendToken, ClientKey, TokenRefused
from konsil.outbox import Again, Failed, Job, NewJob, Retry, Runner, enqueue
from smart_app import cursor
from smart_app.errors import AppError
from smart_app.fhir import FhirClient
from smart_app.settings import Settings, origin_of
from smart_app.store.models import outbox
from smart_app.store.provisioned import ProvisionedStore
from smart_app.store.told import AUDIT
from smart_app.store.writebacks import WritebackStore
from smart_app.tenants import Tenant, base_url
from smart_app.writeback import Later, Refused, file_report, gather, tenant_of

SYSTEM_SCOPE = "system/Task.rs system/DiagnosticReport.rs system/Patient.rs system/Practitioner.rs"
AUDIT_SCOPE = "system/AuditEvent.cu"
ALREADY_THERE = 405
CURSOR_SECONDS = 2.0
AUDIT_PAUSE_SECONDS = 60.0
CURSOR_JOB = NewJob("cursor", {}, "cursor signed-reports")
Result = TypeVar("Result")


def create_worker(settings: Settings) -> Celery:
    """The Celery application of the worker; its runner opens the database when it is first needed."""
    broker = BrokerSettings(settings.broker_url, settings.broker_folder, settings.sweep_seconds)
    return create_celery("app", broker, lambda: Work(settings).runner())


@dataclass
class Work:
    """The handlers, with the clients they keep.  The pages' coroutines run here on the thread of one event loop."""

    settings: Settings
    _tokens: dict[tuple[str, str], BackendToken] = field(default_factory=dict)
    _token_clients: list[httpx.Client] = field(default_factory=list)
    _http: dict[frozenset[str], httpx.AsyncClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the database and start the event loop's thread; both end with `close`, or with the process."""
        self.engine = sync_engine(self.settings.database)
        self.provisioned, self.writebacks = ProvisionedStore(self.engine), WritebackStore(self.engine)
        self._portal_context = start_blocking_portal()
        self._portal: BlockingPortal = self._portal_context.__enter__()

    def runner(self) -> Runner:
        """The runner with the handlers; makes sure that the cursor's row is there."""
        with self.engine.begin() as connection:
            connection.execute(enqueue(outbox, self.engine.dialect.name, CURSOR_JOB))
        return Runner(self.engine, outbox, self._handlers(), release=self.close)

    def _handlers(self) -> dict[str, Callable[[Job], Any]]:
        return {"cursor": self.follow, "writeback": self.write_back, AUDIT: self.tell}

    def close(self) -> None:
        """Close the clients, the event loop and the database."""
        for client in self._http.values():
            self._call(client.aclose)
        for each in self._token_clients:
            each.close()
        self._portal_context.__exit__(None, None, None)
        self.engine.dispose()

    def follow(self, _: Job) -> Again:
        """One look at the history; then again in a moment, whatever it gave."""
        try:
            self._call(cursor.advance, self._own(), self.writebacks)
        except (
            AppError,
            Later,
            httpx.HTTPError,
        ):  # our server is away or not provisioned yet: the row must not back off
            return Again(CURSOR_SECONDS * 2)
        return Again(CURSOR_SECONDS)

    def write_back(self, job: Job) -> None:
        """File one report.  What cannot be filed is said on the case's page and can be sent again there."""
        key = (str(job.payload["case"]), str(job.payload["report"]))
        try:
            material = self._call(gather, self._own(), *key)
            tenant, ehr_patient = tenant_of(material.patient, self.provisioned.tenants())
            written = self._call(file_report, self._at(tenant), tenant, ehr_patient, material)
        except (Later, httpx.HTTPError, TokenRefused, Refused) as error:
            later = _later(error)
            if later is None:
                self.writebacks.record(key, "failed", str(error))
                raise Failed(type(error).__name__) from error
            self.writebacks.record(key, "waiting", f"Will be tried again: {later}.")
            raise Retry(str(later), later.after_seconds) from error
        self.writebacks.record(key, "done", f"Filed at {tenant.title}.", written)

    def tell(self, job: Job) -> None:
        """Tell our server's audit what a command changed, under the event's own id: a second time finds it there.

        Nothing is given up: while the server is away, or does not let us, the row waits.
        """
        try:
            self._call(self._own(AUDIT_SCOPE).update, job.payload["event"])
        except (AppError, Later, httpx.HTTPError, TokenRefused) as error:
            if not (isinstance(error, AppError) and error.status == ALREADY_THERE):
                why = f"our server does not take an AuditEvent: {type(error).__name__}"
                raise Retry(why, AUDIT_PAUSE_SECONDS) from error

    def _own(self, scope: str = SYSTEM_SCOPE) -> FhirClient:
        settings = self.settings
        origins = frozenset({origin_of(settings.fhir_base_url), origin_of(settings.fhir_issuer)})
        key = self.provisioned.key("system")
        if key is None:
            raise Later("the app has not been set up yet")
        named = key.for_token_url(f"{settings.fhir_issuer}/oauth/token")
        return self._client(settings.fhir_base_url, origins, named, scope)

    def _at(self, tenant: Tenant) -> FhirClient:
        backend = tenant.backend
        if backend is None:
            raise Refused(f"{tenant.title} has not opened its record for documents. Send the PDF by hand.")
        shared = self.provisioned.key("client")
        key = backend.key or tenant.key or (shared.key if shared else {})
        named = ClientKey(backend.client_id, key, backend.token_url)
        return self._client(base_url(tenant.fhir_base), tenant.origins(), named, backend.scope)

    def _client(self, base: str, origins: frozenset[str], key: ClientKey, scope: str) -> FhirClient:
        if (base, scope) not in self._tokens:
            self._token_clients.append(guarded_client(origins))
            self._tokens[base, scope] = BackendToken(self._token_clients[-1], key, scope)
        if origins not in self._http:
            self._http[origins] = guarded_async_client(origins, timeout_seconds=30)
        token = self._tokens[base, scope]

        async def source() -> str:
            header = await run_sync(token.header)
            return header["Authorization"].removeprefix("Bearer ")

        async def renew(_: str) -> str:
            token.forget()
            return await source()

        return FhirClient(self._http[origins], base, source, renew)

    def _call(self, coroutine: Callable[..., Coroutine[Any, Any, Result]], *arguments: object) -> Result:
        result: Result = self._portal.call(coroutine, *arguments)
        return result


def _later(error: Exception) -> Later | None:
    """The error as one that time may heal; None when it will not."""
    if isinstance(error, Later):
        return error
    if isinstance(error, TokenRefused):
        undecided = error.status in (200, 429) or error.status >= 500
        return Later("the hospital's sign-in server gave us no token") if undecided else None
    return Later("the hospital's server does not answer") if isinstance(error, httpx.HTTPError) else None
