"""SMART scopes, version 1 and 2, as values.  https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html

Pure: both the authorization server (what may be granted) and access control (what a granted scope lets through) read
scopes here and nowhere else.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

Level = Literal["patient", "user", "system"]

INTERACTIONS = "cruds"
"""create, read (with vread and history), update (with patch), delete, search, in the only order that is allowed."""

VERSION_1 = {"read": "rs", "write": "cud", "*": INTERACTIONS}
"""Version 1 suffixes and what they mean in version 2."""

CONTEXT_SCOPES = frozenset(
    {
        "openid",
        "fhirUser",
        "profile",
        "launch",
        "launch/patient",
        "launch/encounter",
        "online_access",
        "offline_access",
    }
)
"""Scopes that ask for identity, context or token life and open no resource."""

ADMINISTRATION = "administration"
"""A scope of our own: the administration API.  It opens no resource; only people of role administrator may hold it."""

PATTERN = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?")
TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource scope: `user/Observation.rs?category=laboratory`.

    `interactions` is a subset of "cruds" in that order; `query` narrows it to resources that match every parameter.
    """

    level: Level
    resource_type: str
    interactions: str
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Write the scope in version 2."""
        query = "&".join(f"{quote(name, safe=':')}={quote(value, safe=':/|,.*')}" for name, value in self.query)
        return f"{self.level}/{self.resource_type}.{self.interactions}" + (f"?{query}" if query else "")

    def covers(self, resource_type: str, interaction: str) -> bool:
        """Whether it speaks of this type and of this one letter of "cruds"."""
        return self.resource_type in {"*", resource_type} and interaction in self.interactions


def parse(text: str) -> Scope | None:
    """Read one resource scope; None for everything else (`openid`, `launch`, a scope that is not well formed)."""
    match = PATTERN.fullmatch(text)
    if match is None or not match[3] or not TOKEN.fullmatch(text):
        return None
    level: Level = "patient" if match[1] == "patient" else "user" if match[1] == "user" else "system"
    return Scope(level, match[2], VERSION_1.get(match[3], match[3]), _query(match[4] or ""))


def parse_all(scopes: Iterable[str]) -> tuple[Scope, ...]:
    """Read the resource scopes of a grant and leave out the rest."""
    return tuple(scope for scope in map(parse, scopes) if scope is not None)


def split(text: str) -> tuple[str, ...]:
    """Split a `scope` parameter at spaces, each scope once, order kept.  RFC 6749 3.3"""
    return tuple(dict.fromkeys(text.split()))


def intersect(asked: Scope, allowed: Scope) -> Scope | None:
    """Find what both scopes permit; None when nothing is left.

    Both queries hold afterwards: repeated search parameters mean AND.
    """
    interactions = "".join(letter for letter in asked.interactions if letter in allowed.interactions)
    types = {asked.resource_type, allowed.resource_type} - {"*"}
    if asked.level != allowed.level or not interactions or len(types) > 1:
        return None
    query = tuple(dict.fromkeys(asked.query + allowed.query))
    return Scope(asked.level, next(iter(types), "*"), interactions, query)


def grant(asked: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Narrow what is asked to what is allowed, in the order asked.

    A scope that passes whole keeps its spelling (a version 1 client gets version 1 back).  A wildcard that is allowed
    for some types only becomes those types.  What is not understood is not granted.
    """
    permitted = tuple(allowed)
    resources = parse_all(permitted)
    granted: dict[str, None] = {}
    for text in asked:
        scope = parse(text)
        if scope is None:
            granted.update({text: None} if text in {*CONTEXT_SCOPES, ADMINISTRATION} and text in permitted else {})
            continue
        granted.update(dict.fromkeys(_narrow(text, scope, resources)))
    return tuple(granted)


def _narrow(text: str, asked: Scope, allowed: Iterable[Scope]) -> list[str]:
    parts = [part for part in (intersect(asked, one) for one in allowed) if part is not None]
    if asked in parts:
        return [text]
    return [str(part) for part in parts if not any(_within(part, other) for other in parts if other != part)]


def _within(part: Scope, whole: Scope) -> bool:
    """Whether `whole` permits all that `part` does."""
    return intersect(part, whole) == part


def _query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (item.partition("=") for item in text.split("&") if item)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)
