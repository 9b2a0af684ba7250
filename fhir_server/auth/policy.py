"""What may be granted to whom, pure: the scopes asked, narrowed by the client's registration and the person's roles."""

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.scopes import ADMINISTRATION, CONTEXT_SCOPES, Scope, grant, parse

PERSONS = frozenset(
    {
        "requester",
        "consultant",
        "radiologist",
        "him",
        "coordinator",
        "programme-manager",
        "privacy-officer",
        "administrator",
    }
)
"""Roles of people who work with records: patient and user scopes.  What each sees is for access control to say."""

PATIENT_SCOPES = ("patient/*.cruds",)
USER_SCOPES = ("user/*.cruds",)
SYSTEM_SCOPES = ("system/*.cruds",)


def role_scopes(roles: Iterable[str]) -> tuple[str, ...]:
    """List the resource scopes that a person of these roles may hold; nobody holds system scopes in person."""
    held = set(roles)
    limits = (PATIENT_SCOPES if held & (PERSONS | {"patient", "proxy"}) else ()) + (
        USER_SCOPES if held & PERSONS else ()
    )
    return limits + ((ADMINISTRATION,) if "administrator" in held else ())


def for_person(asked: Iterable[str], allowed: Iterable[str], roles: Iterable[str]) -> tuple[str, ...]:
    """Grant scopes to a person who uses a client."""
    return grant(grant(asked, allowed), (*CONTEXT_SCOPES, *role_scopes(roles)))


def for_backend(asked: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Grant scopes to a client that acts alone.  SMART backend-services.html#scopes"""
    return grant(grant(asked, allowed), SYSTEM_SCOPES)


def without_patient(granted: Iterable[str]) -> tuple[str, ...]:
    """Leave out patient scopes: without a patient in context they open nothing."""
    return tuple(text for text in granted if (scope := parse(text)) is None or scope.level != "patient")


def asks_for_patient(granted: Iterable[str]) -> bool:
    """Whether a standalone launch has to ask which patient.  SMART scopes-and-launch-context.html#standalone-apps"""
    return "launch/patient" in set(granted)


WORDS = {"c": "add", "r": "read", "u": "change", "d": "delete", "s": "find"}
EXTENT = {"patient": "of the chosen patient", "user": "that you may see", "system": "of every patient"}


IDENTITY = ("openid", "fhirUser", "profile")
LIFE = {
    "offline_access": "Keep this access after you have left",
    "online_access": "Keep this access while you are signed in",
    ADMINISTRATION: "Change clients, hospitals and people as the administrator you are",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """What a person can allow or refuse by itself: scopes (with blanks between) and what they mean."""

    scope: str
    words: str


def offers(granted: Iterable[str]) -> list[Offer]:
    """Say in plain words what can be allowed, each scope by itself, those of identity together."""
    held = tuple(granted)
    found = [Offer(text, _words(scope)) for text in held if (scope := parse(text)) is not None]
    identity = " ".join(text for text in IDENTITY if text in held)
    found += [Offer(identity, "Know who you are")] if identity else []
    return found + [Offer(text, words) for text, words in LIFE.items() if text in held]


def describe(granted: Iterable[str]) -> list[str]:
    """Say in plain words what is granted."""
    return [offer.words for offer in offers(granted)]


def ticked(granted: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """Leave out what the person did not allow; `launch` and `launch/...` open nothing and need no leave.

    Nothing remains when only those would.
    """
    wanted = set(allowed)
    kept = tuple(text for text in granted if text in wanted or text.partition("/")[0] == "launch")
    return kept if any(text in wanted for text in kept) else ()


def _words(scope: Scope) -> str:
    *most, last = (WORDS[letter] for letter in scope.interactions)
    verbs = f"{', '.join(most)} and {last}" if most else last
    kind = "all records" if scope.resource_type == "*" else f"{scope.resource_type} records"
    limit = f", limited to {_limit(scope)}" if scope.query else ""
    return f"{verbs.capitalize()} {kind} {EXTENT[scope.level]}{limit}"


def _limit(scope: Scope) -> str:
    """Name what narrows a scope, by the last part of each value: `category laboratory`."""
    return " and ".join(f"{name} {value.rpartition('|')[2]}" for name, value in scope.query)
