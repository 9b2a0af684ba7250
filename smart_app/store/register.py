"""The register of hospitals: added, changed, deactivated; keys are sealed and never shown again.

A change names the version that it changes; of two at once the later one is refused.  Nothing is deleted.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from konsil.changes import Details, differences
from smart_app.store.models import tenant, tenant_change
from smart_app.store.sealed import open_model, seal_model
from smart_app.tenants import Tenant, base_url

FILE = "provisioning file"
SECRET = ("key", "backend_key")
BACKEND = ("client_id", "token_url", "scope")
MOST_CHANGES = 50
Values = Mapping[str, Any]


class Unsuitable(Exception):
    """Values that are not taken: `fields` says why, by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = dict(fields)


class Stale(Exception):
    """Somebody else has changed it since; `current` is what it is now."""

    def __init__(self, current: Values) -> None:
        super().__init__(f"{current.get('changed_by') or 'Somebody'} has changed this in the meantime.")
        self.current = dict(current)


class Unknown(Exception):
    """There is no such hospital."""


@dataclass(frozen=True, slots=True)
class By:
    """Who changes.  `audit` is told what and how before it is done; what it raises stops the change."""

    name: str
    audit: Callable[[str, str, Details], None] = lambda *_: None


def every(connection: Connection) -> list[dict[str, Any]]:
    """All hospitals, the deactivated ones too, by name."""
    return [_document(connection, row) for row in connection.execute(select(tenant).order_by(tenant.c.name))]


def show(connection: Connection, name: str) -> dict[str, Any]:
    """One hospital, with what was changed of it.  Raises Unknown."""
    row = connection.execute(select(tenant).where(tenant.c.name == name)).first()
    if row is None:
        raise Unknown(f"there is no hospital {name}")
    mine = select(tenant_change).where(tenant_change.c.tenant == name)
    rows = connection.execute(mine.order_by(tenant_change.c.id.desc()).limit(MOST_CHANGES))
    changes = [
        {"at": _moment(each.changed_at), "by": each.changed_by, "what": each.what, "details": json.loads(each.details)}
        for each in rows
    ]
    return _document(connection, row) | {"changes": changes}


def add(engine: Engine, by: By, values: Values) -> dict[str, Any]:
    """Add a hospital.  Raises Unsuitable."""
    content = _valid(values, None)
    details = differences(None, _with_keys(content), SECRET)
    _check_taken(engine, content, new=True)
    by.audit(content.name, "added", details)
    try:
        with engine.begin() as connection:
            connection.execute(insert(tenant).values(**_stored(content)))
            _keep(connection, by, content.name, ("added", details))
            return show(connection, content.name)
    except IntegrityError:
        raise Unsuitable({"name": "The name, the FHIR address or the issuer is taken."}) from None


def change(engine: Engine, by: By, before: Values, values: Values) -> dict[str, Any]:
    """Change values of the version that `before` is; what is not given stays, keys too.  Raises Unsuitable, Stale."""
    with engine.connect() as connection:
        row = connection.execute(select(tenant.c.content).where(tenant.c.name == before["name"])).scalar_one()
    known = open_model(Tenant, row)
    content = _valid({**before["values"], **values}, known)
    if content.name != known.name:
        raise Unsuitable({"name": "This cannot be changed: add another one, and deactivate this."})
    _check_taken(engine, content, new=False)
    details = differences(_with_keys(known), _with_keys(content), SECRET)
    return _write(engine, by, before, _stored(content), ("changed", details))


def activate(engine: Engine, by: By, before: Values, *, active: bool) -> dict[str, Any]:
    """Deactivate: nobody launches from there, nothing is written back; or activate again.  Raises Stale."""
    return _write(engine, by, before, {"active": active}, ("activated" if active else "deactivated", []))


def put(connection: Connection, content: Tenant) -> None:
    """Make one as a provisioning file says; nothing happens where it is so."""
    row = connection.execute(select(tenant).where(tenant.c.name == content.name)).first()
    known = open_model(Tenant, row.content) if row else None
    details = differences(_with_keys(known) if known else None, _with_keys(content), SECRET)
    state = {"active": True, "from_file": True}
    if row is None:
        connection.execute(insert(tenant).values(**_stored(content), **state))
        _keep(connection, By(FILE), content.name, ("added", details))
    elif details or not row.active or not row.from_file:
        values = {**_stored(content), **state, "version": row.version + 1}
        connection.execute(update(tenant).where(tenant.c.name == content.name).values(**values))
        _keep(connection, By(FILE), content.name, ("changed" if row.active else "activated", details))


def deactivate_others(connection: Connection, named: Iterable[Tenant]) -> list[str]:
    """Deactivate the hospitals that are not named; gives their names."""
    others = update(tenant).where(tenant.c.name.not_in([each.name for each in named]), tenant.c.active)
    off = others.values(active=False, version=tenant.c.version + 1).returning(tenant.c.name)
    gone = sorted(connection.execute(off).scalars())
    for name in gone:
        _keep(connection, By(FILE), name, ("deactivated", []))
    return gone


def _write(engine: Engine, by: By, before: Values, row: Values, what: tuple[str, Details]) -> dict[str, Any]:
    name, version = before["name"], before["version"]
    with engine.connect() as connection:
        if show(connection, name)["version"] != version:
            raise Stale(show(connection, name))
    by.audit(name, *what)
    with engine.begin() as connection:
        same = update(tenant).where(tenant.c.name == name, tenant.c.version == version)
        if connection.execute(same.values(**row, version=version + 1)).rowcount == 0:
            raise Stale(show(connection, name))
        _keep(connection, by, name, what)
        return show(connection, name)


def _keep(connection: Connection, by: By, name: str, what: tuple[str, Details]) -> None:
    row = {"tenant": name, "changed_at": time.time(), "changed_by": by.name, "what": what[0]}
    connection.execute(insert(tenant_change).values(**row, details=json.dumps(what[1])))


def _check_taken(engine: Engine, content: Tenant, *, new: bool) -> None:
    with engine.connect() as connection:
        for row in connection.execute(select(tenant.c.name, tenant.c.fhir_base, tenant.c.issuer)):
            if row.name == content.name:
                if new:
                    raise Unsuitable({"name": "This is taken."})
                continue
            if row.fhir_base == base_url(content.fhir_base):
                raise Unsuitable({"fhir_base": f"This is the address of {row.name}."})
            if row.issuer == content.issuer:
                raise Unsuitable({"issuer": f"This is the issuer of {row.name}."})


def _document(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    last = select(tenant_change.c.changed_at, tenant_change.c.changed_by).where(tenant_change.c.tenant == row.name)
    newest = connection.execute(last.order_by(tenant_change.c.id.desc()).limit(1)).first()
    content = open_model(Tenant, row.content)
    return {
        "kind": "tenant",
        "key": row.name,
        "name": row.name,
        "thing": f"hospital {row.name}",
        "version": row.version,
        "active": row.active,
        "from_file": row.from_file,
        "changed_at": _moment(newest.changed_at) if newest else None,
        "changed_by": newest.changed_by if newest else None,
        "values": values_of(content),
        "about": _keys_of(content),
    }


def values_of(content: Tenant) -> dict[str, Any]:
    """What may be changed and shown of a hospital: all but its keys."""
    values = content.model_dump(exclude={"key", "backend"}, mode="json")
    backend = content.backend
    return values | {f"backend_{name}": getattr(backend, name) if backend else "" for name in BACKEND}


def _keys_of(content: Tenant) -> dict[str, Any]:
    """Of the private keys only their names."""
    backend = content.backend.key if content.backend else None
    return {"key": (content.key or {}).get("kid"), "backend_key": (backend or {}).get("kid")}


def _with_keys(content: Tenant) -> dict[str, Any]:
    return values_of(content) | {"key": content.key, "backend_key": content.backend.key if content.backend else None}


def _stored(content: Tenant) -> dict[str, Any]:
    addresses = {"fhir_base": base_url(content.fhir_base), "issuer": content.issuer}
    return {"name": content.name, **addresses, "content": seal_model(content)}


def _valid(values: Values, known: Tenant | None) -> Tenant:
    """Values as a hospital; keys that are not given are those that it has."""
    given = {name: value for name, value in values.items() if not name.startswith("backend_")}
    given.setdefault("key", known.key if known else None)
    backend = {name: values.get(f"backend_{name}") or "" for name in BACKEND}
    if any(backend[name] for name in ("client_id", "token_url")):
        kept = known.backend.key if known and known.backend else None
        given["backend"] = {name: value for name, value in backend.items() if value}
        given["backend"]["key"] = values.get("backend_key", kept)
    try:
        return Tenant.model_validate(given, extra="forbid")
    except ValidationError as error:
        found = {"_".join(map(str, each["loc"][:2])) or "name": str(each["msg"])[:300] for each in error.errors()}
        raise Unsuitable(found) from None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
