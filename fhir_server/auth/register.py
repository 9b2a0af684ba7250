"""The register of clients, tenants and accounts: added, changed, deactivated, each change with its AuditEvent.

A change and its AuditEvent are one transaction.  It names the version that it changes; of two at once the later one is
refused.  Nothing is deleted.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from anyio import to_thread
from pydantic import ValidationError

from fhir_server.audit.event import ATTRIBUTES_CHANGED, SECURITY, Happening, Origin
from fhir_server.audit.trail import event_row
from fhir_server.auth import accounts, administration, opaque, passwords, records, tokens
from fhir_server.auth.entries import AccountEntry, ClientEntry, TenantEntry
from fhir_server.auth.policy import PERSONS
from fhir_server.auth.server import issuer
from fhir_server.auth.shown import KEYS, Shown, differences, shown, values_of
from fhir_server.context import Node
from fhir_server.errors import Conflict, Invalid, NotFound, VersionMismatch
from fhir_server.store import auth_administration as store
from fhir_server.store import auth_registry
from fhir_server.store.audit import append
from fhir_server.store.auth_registry import Kind
from fhir_server.store.auth_values import Account, Client, Tenant
from fhir_server.store.database import Transaction

Values = Mapping[str, Any]
OWN_RECORD = frozenset({"patient", "proxy"})
PEOPLES_ROLES = PERSONS | OWN_RECORD
CLIENTS_ROLES = frozenset({"system", "interface-engine"})
ADMINISTRATOR = "administrator"
FILE, COMMAND = "provisioning file", "command line"


class Unsuitable(Invalid):
    """Values that are not taken: `fields` says why, by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = dict(fields)


class Stale(VersionMismatch):
    """Somebody else has changed it since; `current` is what it is now."""

    def __init__(self, current: Shown) -> None:
        super().__init__(f"{current.changed_by or 'Somebody'} has changed this in the meantime.")
        self.current = current


@dataclass(frozen=True, slots=True)
class By:
    """Who changes, as AuditEvents and as people name them."""

    origin: Origin
    name: str

    @property
    def account_id(self) -> str:
        """The account of the person, if it is one."""
        return self.origin.caller.subject


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of it; `once` is a secret or a link that is shown now and never again."""

    now: Shown
    once: str | None = None


def operator(node: Node, name: str) -> By:
    """Whoever runs a command on the server itself."""
    return By(Origin(records.registrar(None), name, issuer(node.settings)), name)


async def every(node: Node, kind: Kind) -> list[Shown]:
    """List all of a kind."""
    uses = await store.uses(node.database, kind, time.time())
    return [shown(kind, row, uses.get(row[KEYS[kind]])) for row in await store.every(node.database, kind)]


async def show(node: Node, kind: Kind, key: str) -> Shown:
    """Look one up.  Raises NotFound."""
    row = await _row(node, kind, key)
    return shown(kind, row, (await store.uses(node.database, kind, time.time())).get(key))


async def named(node: Node, kind: Kind, name: str) -> Shown:
    """Look one up by the name that people know: an account by its username.  Raises NotFound."""
    row = await store.find_named(node.database, kind, accounts.normal(name) if kind == "account" else name)
    if row is None:
        raise NotFound(f"There is no {kind} {name[:100]}.")
    return await show(node, kind, row[KEYS[kind]])


async def add(node: Node, by: By, kind: Kind, values: Values) -> Changed:
    """Add one.  A client without keys gets a secret, a person without a password the link to set one.

    Raises Unsuitable.
    """
    row, once = await _new_row(node, kind, values)
    async with node.database.transaction() as transaction:
        if await store.find(transaction, kind, row[KEYS[kind]]) is not None:
            raise Unsuitable({KEYS[kind]: "This is taken."})
        await _check_taken(transaction, kind, row)
        await store.add(transaction, kind, row | _stamp(by) | {"version": 1})
        await _note(node, transaction, by, (kind, None, row))
    now = await show(node, kind, row[KEYS[kind]])
    if kind == "account":
        once = await administration.link_for(node, now.key)
    return Changed(now, once)


async def change(node: Node, by: By, before: Shown, values: Values) -> Changed:
    """Change values of one, of the version that `before` is; what is not given stays.

    Raises Unsuitable, Stale, and Conflict where nobody could administer afterwards.
    """
    known = await _row(node, before.kind, before.key)
    row, once = await _changed_row(node, before.kind, known, values)
    await _write(node, by, before, row)
    return Changed(await show(node, before.kind, before.key), once)


async def activate(node: Node, by: By, before: Shown, *, active: bool) -> Changed:
    """Deactivate, which ends what is open for good, or activate again.  Raises Stale, Conflict."""
    await _write(node, by, before, {"disabled": not active})
    return Changed(await show(node, before.kind, before.key))


async def new_secret(node: Node, by: By, before: Shown) -> Changed:
    """Give a client another secret; the former one is refused from now on.  Raises Stale, Conflict."""
    if before.kind != "client" or not before.about["secret"]:
        raise Conflict("This has no secret: it proves itself by keys, or not at all.")
    once = opaque.make()
    await _write(node, by, before, {"secret_hash": await to_thread.run_sync(passwords.make, once)})
    return Changed(await show(node, before.kind, before.key), once)


async def reset(node: Node, by: By, before: Shown) -> Changed:
    """Make the link with which a person sets a new password within a day, once.  Raises Conflict."""
    if before.kind != "account" or before.values["username"] is None or not before.active:
        raise Conflict("Only an active account that signs in here has a password.")
    once = await administration.link_for(node, before.key)
    await _note_deed(node, by, before, "link for a new password made")
    return Changed(before, once)


async def sign_out(node: Node, by: By, before: Shown) -> Changed:
    """End every session of a person and every access given to an application.  Raises Conflict."""
    if before.kind != "account":
        raise Conflict("Only people are signed out.")
    await accounts.sign_out_everywhere(node.database, before.key, time.time())
    await _note_deed(node, by, before, "signed out everywhere")
    return Changed(await show(node, before.kind, before.key))


async def put(node: Node, kind: Kind, row: dict[str, Any]) -> None:
    """Make one as a provisioning file says; nothing happens where it is so."""
    by = operator(node, FILE)
    async with node.database.transaction() as transaction:
        known = await store.find_named(transaction, kind, row["username" if kind == "account" else KEYS[kind]])
        if known is None:
            await store.add(transaction, kind, row | _stamp(by) | {"from_file": True, "version": 1})
            await _note(node, transaction, by, (kind, None, row))
            return
        after = {**known, **row, KEYS[kind]: known[KEYS[kind]]}
        if known["from_file"] and not differences(kind, known, after):
            return
        changed = {name: after[name] for name in row} | _stamp(by) | {"from_file": True}
        await store.change(transaction, kind, known[KEYS[kind]], changed, known["version"])
        await _note(node, transaction, by, (kind, known, after))


async def _row(node: Node, kind: Kind, key: str) -> Values:
    row = await store.find(node.database, kind, key)
    if row is None:
        raise NotFound(f"There is no {kind} {key[:100]}.")
    return row


async def _write(node: Node, by: By, before: Shown, row: dict[str, Any]) -> None:
    kind, key = before.kind, before.key
    async with node.database.transaction() as transaction:
        administrators = await store.active_administrators(transaction) if kind == "account" else set()
        known = await store.find(transaction, kind, key)
        if known is None:
            raise NotFound(f"There is no {kind} {key[:100]}.")
        if not await store.change(transaction, kind, key, row | _stamp(by), before.version):
            raise Stale(shown(kind, known))
        after = {**known, **row}
        await _check_taken(transaction, kind, after)
        if key in administrators and not await store.active_administrators(transaction) & {key}:
            _check_administrators(by, key, administrators)
        if after["disabled"] and not known["disabled"]:
            await administration.end(transaction, kind, after, time.time())
        await _note(node, transaction, by, (kind, known, after))
    tokens.forget(node.database)


def _check_administrators(by: By, key: str, administrators: set[str]) -> None:
    """Who administers cannot shut the door behind everybody.  Raises Conflict."""
    if key == by.account_id:
        raise Conflict("You cannot take the role of administrator from yourself; another administrator can.")
    if administrators == {key}:
        raise Conflict("This is the last administrator: give somebody else the role first.")


async def _check_taken(transaction: Transaction, kind: Kind, row: Values) -> None:
    unique = {"tenant": "issuer", "account": "username"}.get(kind)
    if unique and row.get(unique) and await store.is_taken(transaction, kind, unique, row[unique], row[KEYS[kind]]):
        raise Unsuitable({unique: "This is taken."})


async def _new_row(node: Node, kind: Kind, values: Values) -> tuple[dict[str, Any], str | None]:
    if kind == "client":
        return await _client(values, None)
    if kind == "tenant":
        entry = _valid(TenantEntry, values)
        await _check_reference(node, "organization", entry.organization)
        return auth_registry.tenant_row(Tenant(**entry.model_dump())), None
    row = await _account(node, values, str(uuid4()), None)
    return row, None


async def _changed_row(node: Node, kind: Kind, known: Values, values: Values) -> tuple[dict[str, Any], str | None]:
    whole = values_of(kind, known) | dict(values)
    if whole[KEYS[kind]] != known[KEYS[kind]] if kind != "account" else False:
        raise Unsuitable({KEYS[kind]: "This cannot be changed: add another one, and deactivate this."})
    disabled = {"disabled": known["disabled"]}
    if kind == "client":
        row, once = await _client(whole, known["secret_hash"])
        return row | disabled, once
    if kind == "account":
        return await _account(node, whole, known["account_id"], known) | disabled, None
    return (await _new_row(node, kind, whole))[0] | disabled, None


async def _client(values: Values, secret_hash: str | None) -> tuple[dict[str, Any], str | None]:
    """A client's row, and the secret that it needs if it has neither keys nor one already."""
    keys = values.get("jwks") is not None or values.get("jwks_url") is not None
    secret = None if keys or values.get("type") == "public" else "kept"
    given = {name: value for name, value in values.items() if name != "secret"}
    entry = _valid(ClientEntry, given | {"secret": secret})
    _check_roles(entry.roles, CLIENTS_ROLES)
    once = None
    if secret is None:
        secret_hash = None
    elif secret_hash is None:
        once = opaque.make()
        secret_hash = await to_thread.run_sync(passwords.make, once)
    return auth_registry.client_row(Client(**entry.model_dump(exclude={"secret"}), secret_hash=secret_hash)), once


async def _account(node: Node, values: Values, account_id: str, known: Values | None) -> dict[str, Any]:
    """An account's row; who works here and has no Practitioner gets one."""
    of_tenant = known is not None and known["username"] is None
    given = {name: value for name, value in values.items() if name not in {"password", "practitioner", "disabled"}}
    entry = _valid(AccountEntry, given | ({"username": account_id} if of_tenant else {}))
    _check_roles(entry.roles, PEOPLES_ROLES)
    username = None if of_tenant else accounts.normal(entry.username)
    if username == "" or (known is not None and username != known["username"]):
        raise Unsuitable({"username": "It has one, and keeps it."})
    if entry.organization:
        await _check_reference(node, "organization", entry.organization)
    fhir_user = entry.fhir_user or await _practitioner(node, entry)
    await _check_reference(node, "fhir_user", fhir_user)
    values = entry.model_dump(include={"name", "roles", "organization"})
    return auth_registry.account_row(Account(**values, account_id=account_id, fhir_user=fhir_user)) | {
        "username": username
    }


async def _practitioner(node: Node, entry: AccountEntry) -> str:
    if entry.roles & OWN_RECORD:
        raise Unsuitable({"fhir_user": "The account of a patient or proxy names the record: Patient/id."})
    practitioner = {"resourceType": "Practitioner", "active": True, "name": [{"text": entry.name}]}
    practitioner["id"] = str(uuid4())
    await records.put(node, records.registrar(entry.organization), [practitioner])
    return f"Practitioner/{practitioner['id']}"


async def _check_reference(node: Node, name: str, reference: str) -> None:
    kind, _, key = reference.partition("/")
    kinds = {"Organization"} if name == "organization" else {"Practitioner", "Patient", "RelatedPerson"}
    if kind not in kinds or not await records.search(node, records.registrar(None), kind, {"_id": key}):
        raise Unsuitable({name: f"There is no {reference[:100] or 'such record'}."})


def _check_roles(given: frozenset[str], known: frozenset[str]) -> None:
    if unknown := given - known:
        raise Unsuitable({"roles": f"Not a role: {' '.join(sorted(unknown))[:200]}."})


def _valid(entry: type[Any], values: Values) -> Any:
    """What pydantic says of each member, without what was given: it may be a secret."""
    try:
        return entry.model_validate(dict(values))
    except ValidationError as error:
        found = {str((each["loc"] or ("jwks",))[0]): str(each["msg"])[:300] for each in error.errors()}
        raise Unsuitable(found) from None


def _stamp(by: By) -> dict[str, Any]:
    return {"changed_at": time.time(), "changed_by": by.name}


async def _note(node: Node, transaction: Transaction, by: By, change: tuple[Kind, Values | None, Values]) -> None:
    kind, before, after = change
    verb = "added" if before is None else "changed"
    if before is not None and bool(before["disabled"]) != bool(after["disabled"]):
        verb = "deactivated" if after["disabled"] else "activated"
    name = after.get("username") or after[KEYS[kind]]
    thing = f"{kind} {name}"
    details = differences(kind, before, after)
    happening = Happening(ATTRIBUTES_CHANGED, time.time_ns() // 1000, problem=f"{thing} {verb}", kind=SECURITY)
    if node.journal.enabled:
        await append(transaction, [event_row(by.origin, happening._replace(thing=thing, details=details), None)])


async def _note_deed(node: Node, by: By, of: Shown, what: str) -> None:
    happening = Happening(ATTRIBUTES_CHANGED, time.time_ns() // 1000, problem=f"{of.thing}: {what}", kind=SECURITY)
    if node.journal.enabled:
        async with node.database.transaction() as transaction:
            await append(transaction, [event_row(by.origin, happening._replace(thing=of.thing), None)])
