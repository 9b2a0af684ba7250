"""Where what is administered is kept: FHIR server, gateway, this app.  Each change is made with the person's token."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from anyio import from_thread
from anyio.to_thread import run_sync

from konsil.changes import Details, change_event
from smart_app.errors import AppError, FhirFailure, Forbidden, NotFound, Unavailable
from smart_app.fhir import Resource
from smart_app.store import register
from smart_app.visit import Visit

Document = dict[str, Any]
Values = Mapping[str, Any]


class Unsuitable(AppError):
    """Values that are not taken: `fields` says why, by name."""

    status = 400

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = dict(fields)


class Stale(AppError):
    """Somebody else has changed it since; `current` is what it is now."""

    status = 409

    def __init__(self, current: Document) -> None:
        super().__init__(f"{current.get('changed_by') or 'Somebody'} has changed this in the meantime.")
        self.current = current


class Source(Protocol):
    """One list.  Documents have key, name, version, active, from_file, values, about.  Raises Unsuitable, Stale."""

    async def every(self) -> list[Document]:
        """All of them, the deactivated ones too."""

    async def show(self, key: str) -> Document:
        """One of them.  Raises NotFound."""

    async def add(self, values: Values) -> Document:
        """Add one; `once` in the answer is shown now and never again."""

    async def change(self, key: str, version: int, values: Values) -> Document:
        """Change one."""

    async def do(self, key: str, version: int, deed: str) -> Document:
        """Deactivate, activate, and what else there is."""


@dataclass(frozen=True)
class Remote:
    """A list that another program keeps, behind an API of the same shape."""

    visit: Visit
    base: str
    name: str

    async def every(self) -> list[Document]:
        """All of them."""
        return list((await self._ask("GET", ""))[self.name])

    async def show(self, key: str) -> Document:
        """One of them."""
        return await self._ask("GET", f"/{quote(key, safe='')}")

    async def add(self, values: Values) -> Document:
        """Add one."""
        return await self._ask("POST", "", values=values)

    async def change(self, key: str, version: int, values: Values) -> Document:
        """Change one."""
        return await self._ask("PUT", f"/{quote(key, safe='')}", version, values)

    async def do(self, key: str, version: int, deed: str) -> Document:
        """Do something with one."""
        return await self._ask("POST", f"/{quote(key, safe='')}/{quote(deed, safe='')}", version)

    async def _ask(self, method: str, path: str, version: int = 0, values: Values | None = None) -> Document:
        headers = {"Authorization": f"Bearer {await self.visit.own_token()}"}
        headers |= {"If-Match": f'W/"{version}"'} if version else {}
        http = self.visit.services.clients.for_origins([self.base])
        try:
            answer = await http.request(method, f"{self.base}/{self.name}{path}", headers=headers, json=values)
        except httpx.HTTPError as error:
            raise Unavailable("The program that keeps this list does not answer.", "Try again in a moment.") from error
        if answer.status_code >= 400:
            raise _error_of(answer)
        return dict(answer.json())


def _error_of(answer: httpx.Response) -> AppError:
    """An answer other than success, as our error."""
    try:
        content = dict(answer.json())
    except ValueError:
        content = {}
    detail = str(content.get("detail", ""))
    if "fields" in content:
        return Unsuitable(content["fields"])
    if "current" in content:
        return Stale(content["current"])
    if answer.status_code == 404:
        return NotFound("There is no such entry.", "It may have another name.")
    if answer.status_code in {401, 403}:
        return Forbidden(detail or "This is for administrators.", "Sign in with the account that has the role.")
    error = AppError(detail or f"The answer was {answer.status_code}.", "Nothing was changed.")
    error.status, error.title = answer.status_code, "This was not done"
    return error


@dataclass(frozen=True)
class Hospitals:
    """This app's own hospitals."""

    visit: Visit

    async def every(self) -> list[Document]:
        """All of them."""
        return list(await self._read(register.every))

    async def show(self, key: str) -> Document:
        """One of them."""
        try:
            return dict(await self._read(partial(register.show, name=key)))
        except register.Unknown as error:
            raise NotFound("There is no such hospital.") from error

    async def add(self, values: Values) -> Document:
        """Add one."""
        return await self._write(partial(register.add, values=values))

    async def change(self, key: str, version: int, values: Values) -> Document:
        """Change one."""
        before = {**await self.show(key), "version": version}
        return await self._write(partial(register.change, before=before, values=values))

    async def do(self, key: str, version: int, deed: str) -> Document:
        """Deactivate or activate one."""
        if deed not in {"activate", "deactivate"}:
            raise NotFound("There is no such deed.")
        before = {**await self.show(key), "version": version}
        return await self._write(partial(register.activate, before=before, active=deed == "activate"))

    async def _read(self, work: Any) -> Any:
        def read() -> Any:
            with self.visit.services.provisioned.reads.connect() as connection:
                return work(connection)

        return await run_sync(read)

    async def _write(self, work: Any) -> Document:
        """Put the change down at the FHIR server first: what cannot be audited is not done."""
        launch = self.visit.launch

        def audit(name: str, what: str, details: Details) -> None:
            source = {"reference": launch.practitioner}, self.visit.services.settings.base_url
            event = change_event(source, f"hospital {name}", what, details)
            from_thread.run(self.visit.fhir.create, event)

        by = register.By(launch.name or launch.practitioner, audit)
        try:
            return dict(await run_sync(lambda: work(engine=self.visit.services.engine, by=by)))
        except register.Unsuitable as error:
            raise Unsuitable(error.fields) from error
        except register.Stale as error:
            raise Stale(error.current) from error


@dataclass(frozen=True)
class Organizations:
    """The directory's organizations, by FHIR."""

    visit: Visit

    async def every(self) -> list[Document]:
        """All of them, a thousand at most."""
        found = await self.visit.fhir.search("Organization", {"_sort": "name"}, most=1000)
        return [_organization(each) for each in found.matches]

    async def show(self, key: str) -> Document:
        """One of them."""
        return _organization(await self.visit.fhir.read(f"Organization/{quote(key, safe='')}"))

    async def add(self, values: Values) -> Document:
        """Add one."""
        made = {"resourceType": "Organization", "active": True}
        return _organization(await self.visit.fhir.create(made | _members(values)))

    async def change(self, key: str, version: int, values: Values) -> Document:
        """Change one; what the form does not have stays."""
        return await self._update(key, version, _members(values))

    async def do(self, key: str, version: int, deed: str) -> Document:
        """Deactivate or activate one."""
        return await self._update(key, version, {"active": deed == "activate"})

    async def _update(self, key: str, version: int, members: Resource) -> Document:
        found = await self.visit.fhir.read(f"Organization/{quote(key, safe='')}")
        if found["meta"]["versionId"] != str(version):
            raise Stale(_organization(found))
        kept = found.get("identifier", [])
        if "identifier" in members:
            members = {**members, "identifier": [*members["identifier"], *kept[1:]]}
        try:
            return _organization(await self.visit.fhir.update({**found, **members}))
        except FhirFailure as failure:
            if failure.status not in {409, 412}:
                raise
            raise Stale(await self.show(key)) from failure


def _members(values: Values) -> Resource:
    system, bar, value = str(values["identifier"]).rpartition("|")
    if not values["name"]:
        raise Unsuitable({"name": "It needs a name."})
    identifier = [{"value": value} | ({"system": system} if bar and system else {})] if value else []
    return {"name": values["name"]} | ({"identifier": identifier} if identifier else {})


def _organization(found: Resource) -> Document:
    first = (found.get("identifier") or [{}])[0]
    identifier = "|".join(filter(None, [first.get("system"), first.get("value")]))
    reference = f"Organization/{found['id']}"
    name = found.get("name", "")
    return {
        "kind": "organization",
        "key": found["id"],
        "name": name or found["id"],
        "reference": reference,
        "version": int(found["meta"]["versionId"]),
        "active": found.get("active", True),
        "from_file": False,
        "changed_at": found["meta"].get("lastUpdated"),
        "changed_by": None,
        "values": {"name": name, "identifier": identifier, "reference": reference},
        "about": {},
    }


def source_of(visit: Visit, slug: str) -> Source:
    """The source of a list."""
    settings = visit.services.settings
    server = settings.fhir_base_url.rstrip("/").removesuffix("/fhir") + "/admin"
    if slug == "hospitals":
        return Hospitals(visit)
    if slug == "organizations":
        return Organizations(visit)
    if slug == "peers":
        return Remote(visit, f"{settings.gateway_url.rstrip('/')}/api/administration", "peers")
    return Remote(visit, server, {"people": "accounts"}.get(slug, slug))
