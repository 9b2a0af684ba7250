"""Routing rules added, changed, deactivated: by a file, a command, or over HTTP; what was changed is kept.

A change names the version that it changes; of two at once the later one is refused.  Nothing is deleted.
"""

import json
import time
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, false, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError

from dicom_gateway.errors import NotFound
from dicom_gateway.index.routing import routing_rule, routing_rule_change
from dicom_gateway.peer_register import FILE, MOST_CHANGES, By, Stale, Unsuitable, Values
from dicom_gateway.routing.entry import Rule
from konsil.changes import Details, differences


def active(connection: Connection) -> list[Rule]:
    """The rules that hold, the lowest position first."""
    order = routing_rule.c.position, routing_rule.c.name
    rows = connection.execute(select(routing_rule.c.entry).where(routing_rule.c.disabled.is_(false())).order_by(*order))
    return [Rule.model_validate_json(entry) for entry in rows.scalars()]


def by_name(connection: Connection, name: str) -> Rule | None:
    """A rule, also a deactivated one: what it once planned goes on as planned.  None when there is none."""
    entry = connection.execute(select(routing_rule.c.entry).where(routing_rule.c.name == name)).scalar()
    return None if entry is None else Rule.model_validate_json(entry)


def every(connection: Connection) -> list[dict[str, Any]]:
    """All rules, the deactivated ones too, in their order."""
    rows = connection.execute(select(routing_rule).order_by(routing_rule.c.position, routing_rule.c.name)).mappings()
    return [_document(connection, row) for row in rows]


def show(connection: Connection, name: str) -> dict[str, Any]:
    """One rule, with what was changed of it.  Raises NotFound."""
    row = connection.execute(select(routing_rule).where(routing_rule.c.name == name)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no rule is named {name}")
    made = select(routing_rule_change).where(routing_rule_change.c.rule == name)
    changes = [
        {"at": each.changed_at, "by": each.changed_by, "what": each.what, "details": json.loads(each.details)}
        for each in connection.execute(made.order_by(routing_rule_change.c.id.desc()).limit(MOST_CHANGES))
    ]
    return _document(connection, row) | {"changes": changes}


def add(engine: Engine, by: By, values: Values) -> dict[str, Any]:
    """Add a rule.  Raises Unsuitable."""
    rule = _valid(values)
    details = differences(None, rule.model_dump())
    by.audit(rule.name, "added", details)
    try:
        with engine.begin() as connection:
            connection.execute(insert(routing_rule).values(name=rule.name, **_stored(rule)))
            _keep(connection, by, rule.name, ("added", details))
            return show(connection, rule.name)
    except IntegrityError:
        raise Unsuitable({"name": "This is taken."}) from None


def change(engine: Engine, by: By, before: Values, values: Values) -> dict[str, Any]:
    """Change values of the version that `before` is; what is not given stays.  Raises Unsuitable, Stale."""
    rule = _valid({**before["values"], **values})
    if rule.name != before["name"]:
        raise Unsuitable({"name": "This cannot be changed: add another one, and deactivate this."})
    details = differences(before["values"], rule.model_dump())
    return _write(engine, by, before, _stored(rule), ("changed", details))


def activate(engine: Engine, by: By, before: Values, *, active: bool) -> dict[str, Any]:
    """Deactivate: nothing is planned by it any more; or activate again.  Raises Stale."""
    return _write(engine, by, before, {"disabled": not active}, ("activated" if active else "deactivated", []))


def provision(connection: Connection, rules: Iterable[Rule]) -> int:
    """Add or change rules as a file says.  Returns how many."""
    listed, by = list(rules), By(FILE)
    for rule in listed:
        known = connection.execute(select(routing_rule).where(routing_rule.c.name == rule.name)).mappings().first()
        details = differences(json.loads(known["entry"]) if known else None, rule.model_dump())
        state = {"disabled": False, "from_file": True}
        if known is None:
            connection.execute(insert(routing_rule).values(name=rule.name, **_stored(rule), **state))
            _keep(connection, by, rule.name, ("added", details))
        elif details or known["disabled"] or not known["from_file"]:
            values = {**_stored(rule), **state, "version": routing_rule.c.version + 1}
            connection.execute(update(routing_rule).where(routing_rule.c.name == rule.name).values(**values))
            _keep(connection, by, rule.name, ("activated" if known["disabled"] else "changed", details))
    return len(listed)


def deactivate_others(connection: Connection, rules: Iterable[Rule]) -> list[str]:
    """Deactivate the rules that are not named; gives their names."""
    named = [rule.name for rule in rules]
    others = update(routing_rule).where(routing_rule.c.name.not_in(named), routing_rule.c.disabled.is_(false()))
    off = others.values(disabled=True, version=routing_rule.c.version + 1).returning(routing_rule.c.name)
    gone = sorted(connection.execute(off).scalars())
    for name in gone:
        _keep(connection, By(FILE), name, ("deactivated", []))
    return gone


def _write(engine: Engine, by: By, before: Values, row: Values, what: tuple[str, Details]) -> dict[str, Any]:
    name, version = before["name"], before["version"]
    by.audit(name, *what)
    with engine.begin() as connection:
        same = update(routing_rule).where(routing_rule.c.name == name, routing_rule.c.version == version)
        if connection.execute(same.values(**row, version=version + 1)).rowcount == 0:
            raise Stale(show(connection, name))
        _keep(connection, by, name, what)
        return show(connection, name)


def _keep(connection: Connection, by: By, name: str, what: tuple[str, Details]) -> None:
    row = {"rule": name, "changed_at": time.time(), "changed_by": by.name, "what": what[0]}
    connection.execute(insert(routing_rule_change).values(**row, details=json.dumps(what[1])))


def _document(connection: Connection, row: RowMapping) -> dict[str, Any]:
    changes = routing_rule_change.c
    last = select(changes.changed_at, changes.changed_by).where(changes.rule == row["name"])
    newest = connection.execute(last.order_by(changes.id.desc()).limit(1)).first()
    return {
        "name": row["name"],
        "version": row["version"],
        "active": not row["disabled"],
        "from_file": bool(row["from_file"]),
        "changed_at": newest.changed_at if newest else None,
        "changed_by": newest.changed_by if newest else None,
        "values": Rule.model_validate_json(row["entry"]).model_dump(),
        "about": {},
    }


def _stored(rule: Rule) -> dict[str, Any]:
    return {"position": rule.position, "entry": rule.model_dump_json()}


def _valid(values: Values) -> Rule:
    try:
        return Rule.model_validate(dict(values))
    except ValidationError as error:
        raise Unsuitable(
            {str((each["loc"] or ("to",))[0]): str(each["msg"])[:300] for each in error.errors()}
        ) from None
