"""The screens, one module each: `routes` says what it answers, `nav` what it adds to the navigation."""

from importlib import import_module

from starlette.routing import Route

from smart_app.visit import NavItem

SCREENS = (
    "home",
    "my",
    "looked",
    "help",
    "find",
    "requests",
    "request",
    "preview",
    "case",
    "steps",
    "imaging",
    "media",
    "searching",
    "workstation",
    "access",
    "messages",
    "report",
    "amend",
    "triage",
    "worklist",
    "inbox",
    "reconcile",
    "sources",
    "reading",
    "record",
    "opinion",
    "emergency",
    "invitations",
    "administration",
)


def routes() -> list[Route]:
    """Routes of all screens, in the order of SCREENS."""
    return [route for name in SCREENS for route in import_module(f"smart_app.pages.{name}").routes]


def navigation() -> list[NavItem]:
    """Entries of all screens, in the order of SCREENS."""
    return [item for name in SCREENS for item in getattr(import_module(f"smart_app.pages.{name}"), "nav", [])]
