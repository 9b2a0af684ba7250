"""Peers added, changed, deactivated: by a file, a command, or an administrator over HTTP; what was changed is kept.

A change names the version that it changes; of two at once the later one is refused.  Nothing is deleted.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, false, func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from dicom_gateway.errors import GatewayError, NotFound
from dicom_gateway.index.models import association, peer, peer_change
from dicom_gateway.peers import LISTS, DicomWeb, PeerEntry, Tls
from konsil.changes import Details, differences

FILE = "provisioning file"
MEMBERS = tuple(PeerEntry.model_fields)
PARTS: Mapping[str, type[Tls] | type[DicomWeb]] = {"tls": Tls, "dicomweb": DicomWeb}
"""Members that have members; kept as JSON, empty for none."""
Values = Mapping[str, Any]
MOST_CHANGES = 50


class Unsuitable(GatewayError):
    """Values that are not taken: `fields` says why, by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in fields.items()))
        self.fields = dict(fields)


class Stale(GatewayError):
    """Somebody else has changed it since; `current` is what it is now."""

    def __init__(self, current: Values) -> None:
        super().__init__(f"{current.get('changed_by') or 'Somebody'} has changed this in the meantime.")
        self.current = dict(current)


@dataclass(frozen=True, slots=True)
class By:
    """Who changes.  `audit` is told what and how before it is done; what it raises stops the change."""

    name: str
    audit: Callable[[str, str, Details], None] = lambda *_: None


def every(connection: Connection) -> list[dict[str, Any]]:
    """All peers, the deactivated ones too, by name."""
    called = _called(connection)
    rows = connection.execute(select(peer).order_by(peer.c.name)).mappings()
    return [_document(connection, row, called) for row in rows]


def show(connection: Connection, name: str) -> dict[str, Any]:
    """One peer, with what was changed of it.  Raises NotFound."""
    found = _document(connection, _row(connection, name), _called(connection))
    rows = connection.execute(
        select(peer_change).where(peer_change.c.peer == name).order_by(peer_change.c.id.desc()).limit(MOST_CHANGES)
    )
    changes = [
        {"at": row.changed_at, "by": row.changed_by, "what": row.what, "details": json.loads(row.details)}
        for row in rows
    ]
    return found | {"changes": changes}


def add(engine: Engine, by: By, values: Values, our_ae_title: str) -> dict[str, Any]:
    """Add a peer.  Raises Unsuitable."""
    row = _valid(values, our_ae_title)
    details = differences(None, _values(row))
    by.audit(row["name"], "added", details)
    try:
        with engine.begin() as connection:
            connection.execute(insert(peer).values(**_stored(row), capabilities="{}"))
            _keep(connection, by, row["name"], ("added", details))
            return show(connection, row["name"])
    except IntegrityError:
        raise Unsuitable({"name": "This is taken."}) from None


def change(engine: Engine, by: By, before: Values, values: Values, our_ae_title: str) -> dict[str, Any]:
    """Change values of the version that `before` is; what is not given stays.  Raises Unsuitable, Stale."""
    row = _valid({**before["values"], **values}, our_ae_title)
    if row["name"] != before["name"]:
        raise Unsuitable({"name": "This cannot be changed: add another one, and deactivate this."})
    details = differences(before["values"], _values(row))
    return _write(engine, by, before, _stored(row), ("changed", details))


def activate(engine: Engine, by: By, before: Values, *, active: bool) -> dict[str, Any]:
    """Deactivate: it may not call and is not called; or activate again.  Raises Stale."""
    what = "activated" if active else "deactivated"
    return _write(engine, by, before, {"disabled": not active}, (what, []))


def provision(connection: Connection, entries: Iterable[PeerEntry], our_ae_title: str) -> int:
    """Add or change peers as a file says; what was learned about them is kept.  Returns how many."""
    by, listed = By(FILE), list(entries)
    for entry in listed:
        row = _with_defaults(entry, our_ae_title)
        known = connection.execute(select(peer).where(peer.c.name == entry.name)).mappings().one_or_none()
        details = differences(_values(_read({**known})) if known else None, _values(row))
        state = {"disabled": False, "from_file": True}
        if known is None:
            connection.execute(insert(peer).values(**_stored(row), **state, capabilities="{}"))
            _keep(connection, by, entry.name, ("added", details))
        elif details or known["disabled"] or not known["from_file"]:
            values = {**_stored(row), **state, "version": peer.c.version + 1}
            connection.execute(update(peer).where(peer.c.name == entry.name).values(**values))
            _keep(connection, by, entry.name, ("activated" if known["disabled"] else "changed", details))
    return len(listed)


def deactivate_others(connection: Connection, entries: Iterable[PeerEntry]) -> list[str]:
    """Deactivate the peers that are not named: they may not call, and are not called.  Gives their names."""
    named = [entry.name for entry in entries]
    others = update(peer).where(peer.c.name.not_in(named), peer.c.disabled.is_(false()))
    off = others.values(disabled=True, version=peer.c.version + 1).returning(peer.c.name)
    gone = sorted(connection.execute(off).scalars())
    for name in gone:
        _keep(connection, By(FILE), name, ("deactivated", []))
    return gone


def _write(engine: Engine, by: By, before: Values, row: Values, what: tuple[str, Details]) -> dict[str, Any]:
    name, version = before["name"], before["version"]
    by.audit(name, *what)
    with engine.begin() as connection:
        same = update(peer).where(peer.c.name == name, peer.c.version == version)
        if connection.execute(same.values(**row, version=version + 1)).rowcount == 0:
            raise Stale(show(connection, name))
        _keep(connection, by, name, what)
        return show(connection, name)


def _keep(connection: Connection, by: By, name: str, what: tuple[str, Details]) -> None:
    row = {"peer": name, "changed_at": time.time(), "changed_by": by.name, "what": what[0]}
    connection.execute(insert(peer_change).values(**row, details=json.dumps(what[1])))


def _row(connection: Connection, name: str) -> RowMapping:
    row = connection.execute(select(peer).where(peer.c.name == name)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no peer is named {name}")
    return row


def _called(connection: Connection) -> dict[str, float]:
    last = select(association.c.peer, func.max(association.c.started_at)).where(association.c.outcome == "accepted")
    return {row[0]: row[1] for row in connection.execute(last.group_by(association.c.peer))}


def _document(connection: Connection, row: RowMapping, called: Mapping[str, float]) -> dict[str, Any]:
    last = select(peer_change.c.changed_at, peer_change.c.changed_by).where(peer_change.c.peer == row["name"])
    newest = connection.execute(last.order_by(peer_change.c.id.desc()).limit(1)).first()
    learned = {"reachable": row["reachable"], "checked_at": row["checked_at"], "called_at": called.get(row["name"])}
    return {
        "name": row["name"],
        "version": row["version"],
        "active": not row["disabled"],
        "from_file": bool(row["from_file"]),
        "changed_at": newest.changed_at if newest else None,
        "changed_by": newest.changed_by if newest else None,
        "values": _values(_read({**row})),
        "about": learned | {"capabilities": json.loads(row["capabilities"])},
    }


def _values(row: Values) -> dict[str, Any]:
    return {name: row[name] for name in MEMBERS}


def _read(row: Values) -> dict[str, Any]:
    lists = {name: json.loads(row[name]) for name in LISTS}
    parts = {
        name: model.model_validate_json(row[name]).model_dump(mode="json") if row[name] else None
        for name, model in PARTS.items()
    }
    return {**row, **lists, **parts, "forward": bool(row["forward"])}


def _stored(row: Values) -> dict[str, Any]:
    lists = {name: json.dumps(row[name]) for name in LISTS}
    return {**row, **lists, **{name: json.dumps(row[name]) if row[name] else "" for name in PARTS}}


def _with_defaults(entry: PeerEntry, our_ae_title: str) -> dict[str, Any]:
    row = entry.model_dump(mode="json")
    if row["tls"]:
        row["tls"]["certificates"] = sorted(row["tls"]["certificates"])
    return row | {"title": entry.title or entry.name, "our_ae_title": entry.our_ae_title or our_ae_title}


def _valid(values: Values, our_ae_title: str) -> dict[str, Any]:
    try:
        return _with_defaults(PeerEntry.model_validate(dict(values)), our_ae_title)
    except ValidationError as error:
        raise Unsuitable(
            {str((each["loc"] or ("tls",))[0]): str(each["msg"])[:300] for each in error.errors()}
        ) from None
