"""One tenant: its FHIR server in this process, read as the signed-in physician."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.requests import Request

from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.hospitals import Hospital
from deploy.sandbox.settings import Settings
from fhir_server import wire
from fhir_server.auth import launch, sessions
from fhir_server.context import Caller, Context, Node
from fhir_server.store.auth_values import Account
from fhir_server.store.models import resource
from fhir_server.store.repository import Version

SCOPES = ("user/*.rs",)


@dataclass(frozen=True)
class Tenant:
    """A hospital's EHR."""

    hospital: Hospital
    settings: Settings
    server: Starlette
    read_by: set[tuple[str, str]] = field(default_factory=set, compare=False)

    @property
    def node(self) -> Node:
        """The running FHIR server behind the screens."""
        node: Node = self.server.state.node
        return node

    @property
    def path(self) -> str:
        """Where the screens of this tenant begin."""
        return f"/{self.hospital.key}"

    def has_read(self, account: Account, document: str) -> bool:
        """Whether the physician has opened a document since the EHR started."""
        return (account.account_id, document) in self.read_by

    def mark_read(self, account: Account, document: str) -> None:
        """Keep that they did."""
        self.read_by.add((account.account_id, document))

    async def signed_in(self, request: Request) -> Account | None:
        """The physician of this browser; the session is the authorization server's own."""
        found = await sessions.lookup(self.node.database, self.node.settings, request.cookies, time.time())
        return found.account if found else None

    def context(self, account: Account) -> Context:
        """Read with the physician's own rights."""
        caller = Caller(
            subject=account.account_id,
            client_id="ehr",
            fhir_user=account.fhir_user,
            roles=account.roles,
            organization=account.organization,
            scopes=SCOPES,
        )
        return Context.of(self.node, caller, int(time.time() * 1_000_000))

    async def search(self, account: Account, resource_type: str, pairs: Sequence[tuple[str, str]]) -> list[Resource]:
        """All matches of a search, page after page."""
        context = self.context(account)
        query = self.node.parser.parse(resource_type, [*pairs, ("_count", "500")])
        found: list[Version] = []
        page = await context.store.search(query)
        found += page.matches
        while page.more and page.last is not None:
            page = await context.store.search(query, page.last)
            found += page.matches
        return [wire.loads(version.content) for version in found if version.content]

    async def read(self, account: Account, resource_type: str, resource_id: str) -> Resource:
        """One resource.  Raises NotFound, Gone, Forbidden."""
        version = await self.context(account).store.read(resource_type, resource_id)
        content: Resource = wire.loads(version.content or b"{}")
        return content

    async def count_patients(self) -> int:
        """How many Patients the database holds; fails when it does not answer."""
        statement = select(func.count().label("n")).where(resource.c.resource_type == "Patient")
        rows = await self.node.database.fetch(statement)
        return int(rows[0]["n"])

    async def launch_url(self, account: Account, patient: str) -> str:
        """The app's address for this patient and this physician, with a launch handle that works once.

        The Epic-like storyboard always shows the patient; the Oracle-like frame asks the app for a banner
        of its own.
        """
        context = launch.LaunchContext(
            patient=patient,
            encounter=None,
            intent=None,
            need_patient_banner=self.hospital.key == "oracle",
            fhir_context=(),
        )
        handle = await launch.create(self.node.database, account.account_id, self.settings.client_id, context)
        query = urlencode({"iss": self.node.settings.fhir_url, "launch": handle})
        return f"{self.settings.app_url}/launch?{query}"
