"""Clients, tenants and accounts as administrators are shown them, and what differs between two states.  Pure.

No secret is ever part of either: of a secret it is only said that there is one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from fhir_server.store.auth_registry import Kind

TITLES: Mapping[Kind, str] = {"client": "client", "tenant": "tenant", "account": "account"}
KEYS: Mapping[Kind, str] = {"client": "client_id", "tenant": "name", "account": "account_id"}
PLAIN: Mapping[Kind, tuple[str, ...]] = {
    "client": ("client_id", "name", "type", "jwks_url", "launch_url", "organization"),
    "tenant": ("name", "issuer", "client_id", "jwks_url", "organization"),
    "account": ("username", "name", "organization", "fhir_user"),
}
LISTS: Mapping[Kind, tuple[str, ...]] = {"client": ("redirect_uris", "roles"), "tenant": (), "account": ("roles",)}
FLAGS = ("trusted", "may_exchange")
SECRETS = ("secret_hash", "password_hash")
LONGEST_TEXT = 1000
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Shown:
    """One of them: `values` may be changed, `about` is what else is known, `version` grows with each change."""

    kind: Kind
    key: str
    version: int
    active: bool
    from_file: bool
    changed_at: str | None
    changed_by: str | None
    values: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.values["username"] or self.key) if self.kind == "account" else self.key

    @property
    def thing(self) -> str:
        """How its AuditEvents name it."""
        return f"{TITLES[self.kind]} {self.name}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        named = {"kind": self.kind, "key": self.key, "name": self.name, "thing": self.thing, "version": self.version}
        state = {"active": self.active, "from_file": self.from_file}
        changed = {"changed_at": self.changed_at, "changed_by": self.changed_by}
        return {**named, **state, **changed, "values": dict(self.values), "about": dict(self.about)}


def shown(kind: Kind, row: Mapping[str, Any], use: Mapping[str, Any] | None = None) -> Shown:
    """Show a row; `use` is what `auth_administration.uses` found of it."""
    return Shown(
        kind=kind,
        key=row[KEYS[kind]],
        version=row["version"],
        active=not row["disabled"],
        from_file=bool(row["from_file"]),
        changed_at=moment(row["changed_at"]),
        changed_by=row["changed_by"],
        values=values_of(kind, row),
        about=_about(kind, row, use or {}),
    )


def values_of(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    """What may be changed of a row."""
    values: dict[str, Any] = {name: row[name] for name in PLAIN[kind]}
    values |= {name: orjson.loads(row[f"{name}_json"]) for name in LISTS[kind]}
    if kind == "client":
        values |= {name: bool(row[name]) for name in FLAGS} | {"scopes": row["scope"].split()}
    if kind != "account":
        values["jwks"] = None if row["jwks_json"] is None else orjson.loads(row["jwks_json"])
    return values


def differences(kind: Kind, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What differs between two rows, each member as `from → to`; of a secret only that it is another one."""
    new = values_of(kind, after) | {"active": not after["disabled"]}
    old = {} if before is None else values_of(kind, before) | {"active": not before["disabled"]}
    found = [(name, _change(old.get(name), value, before)) for name, value in new.items() if old.get(name) != value]
    secrets = [name for name in SECRETS if after.get(name) is not None]
    changed = [name for name in secrets if before is None or before.get(name) != after[name]]
    return (*found, *((name.removesuffix("_hash"), "a new one") for name in changed))


def _change(old: Any, new: Any, before: Mapping[str, Any] | None) -> str:
    return in_words(new) if before is None else f"{in_words(old)} → {in_words(new)}"


def in_words(value: Any) -> str:
    """A value as a text of bounded length; of keys their names."""
    if isinstance(value, Mapping):
        kids: Iterable[Any] = (key.get("kid", "without kid") for key in value.get("keys", ()))
        return f"keys {' '.join(map(str, kids))}"[:LONGEST_TEXT]
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))[:LONGEST_TEXT] or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)[:LONGEST_TEXT]


def moment(seconds: float | None) -> str | None:
    """A moment as FHIR writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _about(kind: Kind, row: Mapping[str, Any], use: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "tenant":
        return {"people": use.get("people", 0)}
    about: dict[str, Any] = {"grants": use.get("grants", 0), "used_at": moment(use.get("used_at"))}
    if kind == "client":
        return about | {"secret": row["secret_hash"] is not None}
    return about | {
        "sessions": use.get("sessions", 0),
        "signed_in_at": moment(row["signed_in_at"]),
        "second_step": row["totp_sealed"] is not None,
        "password": row["password_hash"] is not None,
        "issuer": row["issuer"],
    }
