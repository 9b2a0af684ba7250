"""What may be granted to whom, pure: the scopes asked, narrowed by the client's registration and the person's roles."""

from collections.abc import Iterable

from fhir_server.scopes import CONTEXT_SCOPES, grant, parse

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
    limits = (PATIENT_SCOPES if held & (PERSONS | {"patient"}) else ()) + (USER_SCOPES if held & PERSONS else ())
    return limits


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


def describe(granted: Iterable[str]) -> list[str]:
    """Say in plain words what is granted, a line a scope."""
    lines = []
    for text in granted:
        scope = parse(text)
        if scope is not None:
            *most, last = (WORDS[letter] for letter in scope.interactions)
            verbs = f"{', '.join(most)} and {last}" if most else last
            kind = "all records" if scope.resource_type == "*" else f"{scope.resource_type} records"
            limit = ", limited to certain ones" if scope.query else ""
            lines.append(f"{verbs.capitalize()} {kind} {EXTENT[scope.level]}{limit}")
    if {"openid", "fhirUser", "profile"} & set(granted):
        lines.append("Know who you are")
    if "offline_access" in set(granted):
        lines.append("Keep this access after you have left")
    return lines
