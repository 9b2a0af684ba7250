"""EHR launch and standalone sign-in.  https://hl7.org/fhir/smart-app-launch/app-launch.html

`iss` must be the FHIR base of a provisioned tenant: SMART does not say so, but without an allow-list a launch link is a
way to make the app call any address and send people anywhere.
"""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from smart_app.errors import AppError, LaunchRefused, Protected
from smart_app.fhir import FhirClient
from smart_app.flash import Flash
from smart_app.launches import AuthorizationRequest, Launch, Tokens
from smart_app.oauth import (
    ID_TOKEN_TYPE,
    TOKEN_EXCHANGE,
    Answer,
    OAuthClient,
    authorization_url,
    challenge,
    new_verifier,
)
from smart_app.patients import local_patient
from smart_app.services import Services
from smart_app.session import cookie_header, secret_of
from smart_app.store.sessions import Session
from smart_app.tenants import Tenant, base_url
from smart_app.tokens import give_back, life_end, own_key, tenant_key

OWN_SCOPE = "openid fhirUser profile offline_access user/*.cruds patient/*.rs patient/Consent.u administration"
LONGEST_HINT = 100
AGAIN = "Open the app again from the patient's chart."


async def ehr_launch(request: Request) -> Response:
    """GET /launch?iss=...&launch=...: send the browser to the hospital's authorization endpoint."""
    services: Services = request.app.state.services
    tenant = await run_sync(services.provisioned.by_fhir_base, request.query_params.get("iss", ""))
    if tenant is None:
        given = "named no hospital" if "iss" not in request.query_params else "came from an address that is not known"
        raise LaunchRefused(
            f"No hospital that works with this service launches from there: the launch {given}.",
            "Open the app from a patient's chart. If you did, its FHIR address has to be registered here.",
        )
    request.scope["konsil.frame_ancestors"] = tenant.frame_origins
    if not (launch := request.query_params.get("launch")):
        raise LaunchRefused("The launch names no patient context.", AGAIN)
    key = await tenant_key(services, tenant)
    kept, origins = {"kind": "ehr", "tenant": tenant.name, "issuer": tenant.issuer}, tenant.origins()
    oauth = services.oauth(origins)
    endpoints = await oauth.discover(base_url(tenant.fhir_base), origins)
    server = {"fhir_base": base_url(tenant.fhir_base), "token_endpoint": endpoints.token, "jwks_url": tenant.jwks_url}
    asked = {"scope": tenant.scope, "launch": launch, "client_id": key.client_id}
    return await _to_authorization(request, endpoints.authorization, asked, {**kept, **server})


async def sign_in(request: Request) -> Response:
    """GET /sign-in: standalone launch at our own server, for people who work for the second-opinion service.

    `login_hint` (who is about to sign in) and `prompt=login` (ask again, although somebody is signed in there) are
    handed on.  OpenID Connect Core 3.1.2.1
    """
    services: Services = request.app.state.services
    settings, origins = services.settings, services.own_origins()
    key = await own_key(services)
    endpoints = await services.oauth(origins).discover(base_url(settings.fhir_base_url), origins)
    kept = {
        "kind": "standalone",
        "tenant": None,
        "issuer": settings.fhir_issuer,
        "fhir_base": base_url(settings.fhir_base_url),
        "token_endpoint": endpoints.token,
        "jwks_url": f"{settings.fhir_issuer}/oauth/jwks",
        "return_to": _own_path(request.query_params.get("to", "")),
    }
    asked = {"scope": OWN_SCOPE, "client_id": key.client_id}
    if who := request.query_params.get("login_hint"):
        asked["login_hint"] = who[:LONGEST_HINT]
    if request.query_params.get("prompt") == "login":
        asked["prompt"] = "login"
    return await _to_authorization(request, endpoints.authorization, asked, kept)


async def _to_authorization(
    request: Request, endpoint: str, asked: Mapping[str, str], kept: Mapping[str, Any]
) -> Response:
    """Keep what the answer will be checked against, bound to this browser, and redirect."""
    services: Services = request.app.state.services
    session, cookie = await _session(services, secret_of(request))
    verifier, state, nonce = new_verifier(), secrets.token_urlsafe(24), secrets.token_urlsafe(18)
    remembered = AuthorizationRequest(
        session_id=session.id, client_id=asked["client_id"], code_verifier=verifier, nonce=nonce, **kept
    )
    await run_sync(services.sessions.remember, state, remembered, services.settings.sign_in_minutes)
    parameters = {
        "response_type": "code",
        "redirect_uri": redirect_uri(services),
        "state": state,
        "nonce": nonce,
        "aud": remembered.fhir_base,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        **asked,
    }
    response = RedirectResponse(authorization_url(endpoint, parameters), 302)
    if cookie:
        response.headers.append("set-cookie", cookie)
    return response


async def callback(request: Request) -> Response:
    """GET /callback: redeem the code, check who it is, get our own token for that person, open the launch."""
    services: Services = request.app.state.services
    answer = request.query_params
    session = await run_sync(services.sessions.find, secret_of(request))
    pending = await run_sync(services.sessions.redeem, answer.get("state", ""), session.id) if session else None
    if session is None or pending is None:
        raise await _not_pending(request, session)
    tenant = await run_sync(services.provisioned.by_name, pending.tenant) if pending.tenant else None
    if tenant:
        request.scope["konsil.frame_ancestors"] = tenant.frame_origins
    if answer.get("iss", pending.issuer) != pending.issuer:  # RFC 9207
        raise LaunchRefused("The answer came from another sign-in server than the one that was asked.", AGAIN)
    if "code" not in answer:
        raise LaunchRefused(_declined(answer.get("error", "")), AGAIN)
    if tenant:
        launch, tokens = await _open_ehr_launch(services, tenant, pending, answer["code"])
    else:
        launch, tokens = await _open_standalone(services, pending, answer["code"])
    return await _enter(services, session, (launch, tokens), pending.return_to)


async def _not_pending(request: Request, session: Session | None) -> LaunchRefused:
    """Why an answer cannot be taken: no cookie came, or its state is forged, used or too old."""
    services: Services = request.app.state.services
    if not secret_of(request):
        return LaunchRefused(
            "This sign-in was not begun in this browser, or the browser keeps no cookies for this site.",
            "Allow cookies for this address, or open the app in a window of its own, and begin again.",
        )
    state = request.query_params.get("state", "")
    how = await run_sync(services.sessions.why_not, state, session.id) if session else "unknown"
    if how == "used":
        return LaunchRefused("This sign-in was used already.", "Go on where you were, or open the app again.")
    if how == "expired":
        minutes = f"{services.settings.sign_in_minutes:g}"
        return LaunchRefused(f"This sign-in took longer than {minutes} minutes and is too old.", AGAIN)
    return LaunchRefused("This sign-in was not begun in this browser.", AGAIN)


async def _open_ehr_launch(
    services: Services, tenant: Tenant, pending: AuthorizationRequest, code: str
) -> tuple[Launch, Tokens]:
    key, oauth = await tenant_key(services, tenant), services.oauth(tenant.origins())
    answer = await oauth.token(key.for_token_url(pending.token_endpoint), _code_form(services, pending, code))
    claims, id_token = await _identity(oauth, answer, pending)
    ehr_patient = str(answer.content.get("patient") or "")
    if not ehr_patient:
        raise LaunchRefused("The hospital's record named no patient.", AGAIN)
    own = await _exchange(services, id_token)
    tokens = Tokens(ehr=answer.grant, own=own.grant)
    ehr = FhirClient(
        services.clients.for_origins(tenant.origins()), tenant.fhir_base, _constant(answer.grant.access_token)
    )
    ours = own_client(services, own.grant.access_token)
    patient = await _known_patient(ehr, ours, ehr_patient, tenant)
    context = {
        "tenant": tenant.name,
        "ehr_user": _relative(str(claims.get("fhirUser") or "")),
        "ehr_patient": ehr_patient,
        "patient": patient,
        "need_patient_banner": answer.content.get("need_patient_banner", True) is not False,
    }
    return _launch(services, pending, (claims, own), tokens, context), tokens


async def _known_patient(ehr: FhirClient, ours: FhirClient, ehr_patient: str, tenant: Tenant) -> str:
    """The patient in our server.  What fails sends the physician back to the chart: a sign-in works once."""
    try:
        return await local_patient(ehr, ours, ehr_patient, tenant)
    except Protected:
        raise
    except AppError as error:
        error.remedy = AGAIN
        raise


async def _open_standalone(services: Services, pending: AuthorizationRequest, code: str) -> tuple[Launch, Tokens]:
    key, oauth = await own_key(services), services.oauth(services.own_origins())
    answer = await oauth.token(key.for_token_url(pending.token_endpoint), _code_form(services, pending, code))
    claims, _ = await _identity(oauth, answer, pending)
    tokens = Tokens(own=answer.grant)
    patient = answer.content.get("patient")  # named for patients and who acts for one: whose record it is
    context = {"patient": f"Patient/{patient}"} if patient else {}
    return _launch(services, pending, (claims, answer), tokens, context), tokens


async def _identity(oauth: OAuthClient, answer: Answer, pending: AuthorizationRequest) -> tuple[dict[str, Any], str]:
    id_token = str(answer.content.get("id_token") or "")
    if not id_token:
        raise LaunchRefused("The sign-in server did not say who you are.", AGAIN)
    expected = {"iss": pending.issuer, "aud": pending.client_id, "nonce": pending.nonce}
    return await oauth.id_token_claims(id_token, pending.jwks_url, expected), id_token


async def _exchange(services: Services, id_token: str) -> Answer:
    """Turn the hospital's id_token into our server's token for the same person.  RFC 8693 2.1"""
    key, origins = await own_key(services), services.own_origins()
    oauth = services.oauth(origins)
    endpoints = await oauth.discover(base_url(services.settings.fhir_base_url), origins)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": id_token,
        "subject_token_type": ID_TOKEN_TYPE,
        "scope": "openid fhirUser user/*.cruds",
    }
    return await oauth.token(key.for_token_url(endpoints.token), form)


def _launch(
    services: Services,
    pending: AuthorizationRequest,
    who: tuple[dict[str, Any], Answer],
    tokens: Tokens,
    context: Mapping[str, Any],
) -> Launch:
    claims, own = who
    practitioner = _relative(str(own.content.get("fhirUser") or claims.get("fhirUser") or ""))
    if not practitioner:
        raise LaunchRefused("Your account is not linked to anybody on record.", "Ask your administrator.")
    return Launch(
        id=str(uuid.uuid4()),
        session_id=pending.session_id,
        subject=f"{pending.issuer} {claims['sub']}",
        practitioner=practitioner,
        name=str(own.content.get("name") or claims.get("name") or ""),
        roles=tuple(own.content.get("roles") or ()),
        organization=own.content.get("organization"),
        expires_at=life_end(tokens, services.settings.session_hours),
        **context,
    )


async def _enter(services: Services, session: Session, opened: tuple[Launch, Tokens], return_to: str) -> Response:
    """Give the session its person, or, when it was another's, end it and begin a new one; then show the first page."""
    launch, tokens = opened
    cookie, ended = "", list[Tokens]()
    if not await run_sync(services.sessions.adopt, session.id, launch.subject):
        ended = await run_sync(services.sessions.end, session.id)
        session, cookie = await _begin(services, launch.subject)
        launch = launch.model_copy(update={"session_id": session.id})
        said = (
            f"You are signed in as {launch.name or 'another person'}. The session of the person before you has ended."
        )
        await run_sync(services.flashes.leave, launch.id, Flash(said=said, tone="neutral"))
    await run_sync(services.sessions.add_launch, launch, tokens)
    tidy = BackgroundTask(give_back, services, ended)
    response = RedirectResponse(f"/l/{launch.id}/{return_to}", 303, background=tidy)
    if cookie:
        response.headers.append("set-cookie", cookie)
    return response


async def _session(services: Services, secret: str) -> tuple[Session, str]:
    """This browser's session, or a new one with its Set-Cookie value."""
    found = await run_sync(services.sessions.find, secret) if secret else None
    return (found, "") if found else await _begin(services)


async def _begin(services: Services, subject: str | None = None) -> tuple[Session, str]:
    hours = services.settings.session_hours
    session, secret = await run_sync(services.sessions.begin, hours, subject)
    return session, cookie_header(secret, int(hours * 3600))


def own_client(services: Services, access_token: str) -> FhirClient:
    """Our own server with a token that is at hand."""
    http = services.clients.for_origins(services.own_origins())
    return FhirClient(http, services.settings.fhir_base_url, _constant(access_token))


def redirect_uri(services: Services) -> str:
    """Where every authorization server sends the browser back to."""
    return f"{services.settings.base_url}/callback"


def _code_form(services: Services, pending: AuthorizationRequest, code: str) -> dict[str, str]:
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": pending.code_verifier}
    return {**form, "redirect_uri": redirect_uri(services)}


def _constant(token: str) -> Any:
    async def source() -> str:
        return token

    return source


def _relative(fhir_user: str) -> str:
    """`Practitioner/x`, from a relative or an absolute fhirUser."""
    return "/".join(fhir_user.rstrip("/").split("/")[-2:]) if "/" in fhir_user else ""


def _own_path(path: str) -> str:
    """A path below the launch to return to; anything that could lead elsewhere becomes the first page."""
    parts = urlsplit(path)
    safe = not parts.scheme and not parts.netloc and not path.startswith(("/", "\\")) and ".." not in path
    return path if safe else ""


def _declined(error: str) -> str:
    words = {
        "access_denied": "The sign-in was declined.",
        "invalid_scope": "The hospital's server does not grant what this application needs.",
        "invalid_request": "The hospital did not accept this launch: it is too old or was used already.",
        "server_error": "The hospital's sign-in had a fault.",
        "temporarily_unavailable": "The hospital's sign-in is busy.",
        "login_required": "You are not signed in at the hospital.",
    }
    return words.get(error, "The sign-in server sent you back without a sign-in.")


routes = [
    Route("/launch", ehr_launch, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["GET"]),
    Route("/callback", callback, methods=["GET"]),
]
