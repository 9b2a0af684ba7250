"""Who signs proves anew who they are, for this very report, at the authorization server.  docs/signature.md

By signing PIN or the code of an authenticator, typed into the dialog and handed on from server to server; or by signing
in anew in a window of its own.  A server that names no `signing_endpoint` asks for no proof.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smart_app.errors import AppError
from smart_app.fhir import Resource
from smart_app.report import bundle, signature
from smart_app.report.signature import Proof
from smart_app.tenants import base_url
from smart_app.tokens import own_key
from smart_app.visit import Visit

TITLE = "Second opinion"
LONGEST = 20


class NotProved(AppError):
    """The signer has not proved who they are; nothing was sent."""

    status = 422
    title = "Not signed yet"


@dataclass(frozen=True)
class Ways:
    """By what a person can prove who they are within the page; `asked`: whether the server wants it at all."""

    asked: bool = False
    pin: bool = False
    code: bool = False
    pin_locked: bool = False

    @property
    def here(self) -> bool:
        """Whether it can be done without another window."""
        return self.pin or self.code


@dataclass(frozen=True)
class Window:
    """A signing transaction that waits for its person in a window of its own."""

    handle: str
    address: str


async def ways(visit: Visit) -> Ways:
    """What this person can do."""
    if not await _endpoint(visit):
        return Ways()
    found = await _ask(visit, "/methods", {})
    named = found.get("methods", [])
    return Ways(True, "pin" in named, "otp" in named, bool(found.get("pin_locked")))


async def at_once(visit: Visit, transaction: Resource, title: str, form: Mapping[str, Any]) -> Proof | None:
    """Prove it by what was typed into the dialog; None where no proof is asked for.  Raises NotProved."""
    if not await _endpoint(visit):
        return None
    given = {name: typed for name in ("pin", "code") if (typed := "".join(str(form.get(name, "")).split())[:LONGEST])}
    if not given:
        raise NotProved("Nothing is signed yet.", "Give your signing PIN, or the code of your authenticator.")
    answer = await _ask(visit, "", content(transaction, title) | given)
    return proof_in(answer)


async def in_window(visit: Visit, transaction: Resource, title: str) -> Window:
    """Begin a transaction that its person proves in a window."""
    answer = await _ask(visit, "", content(transaction, title))
    return Window(str(answer["signing"]), str(answer["window"]))


async def proved(visit: Visit, handle: str) -> Proof | Literal["waiting", "expired"]:
    """What has become of it."""
    answer = await _ask(visit, "/status", {"signing": handle})
    if answer.get("status") == "proved":
        return proof_in(answer)
    return "waiting" if answer.get("status") == "waiting" else "expired"


def content(transaction: Resource, title: str) -> dict[str, str]:
    """What is to be signed, as the server binds the proof to it."""
    report = bundle.the("DiagnosticReport", transaction)
    return {"resource": bundle.reference(report), "sha256": signature.digest(report), "title": title}


def proof_in(answer: Mapping[str, Any]) -> Proof:
    """The proof that the server's answer holds.  Raises NotProved."""
    if answer.get("status") != "proved":
        raise NotProved(*_why(answer))
    return Proof(tuple(answer["amr"]), int(answer["auth_time"]))


def _why(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Why a proof did not hold, and the way on."""
    if answer.get("method") == "code":
        if answer.get("locked"):
            return "Too many wrong codes.", "Wait a few minutes, or sign in again in a window."
        return "This code is not right, or was used before.", "Wait for the next one and give that."
    if answer.get("locked"):
        return (
            "Your signing PIN is locked after five wrong attempts.",
            "Sign in again in a window to sign and unlock it.",
        )
    left = int(answer.get("left") or 0)
    return "This PIN is not right.", f"{left} more attempt{'' if left == 1 else 's'} before it is locked."


async def _endpoint(visit: Visit) -> str:
    settings, origins = visit.services.settings, visit.services.own_origins()
    return (await visit.services.oauth(origins).discover(base_url(settings.fhir_base_url), origins)).signing


async def _ask(visit: Visit, path: str, form: Mapping[str, str]) -> dict[str, Any]:
    services = visit.services
    settings, origins = services.settings, services.own_origins()
    oauth, key = services.oauth(origins), await own_key(services)
    endpoints = await oauth.discover(base_url(settings.fhir_base_url), origins)
    asking = {**form, "token": await visit.own_token()}
    return await oauth.signing(key.for_token_url(endpoints.token), f"{endpoints.signing}{path}", asking)
