"""The people of the demo at their clients: each signs in with name and password and gets a token of their own.

The client is the app, by its keys, which the demo's folder holds; what it sends, the rules of the server judge as they
judge the app.  Physicians come by a launch from the patient's chart, everybody else by our own sign-in page.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import orjson

from deploy.sandbox import people
from deploy.sandbox.cases.browser import Browser, Form, PageError, form_action, hidden_fields, redirect_query
from konsil.http_client import guarded_async_client
from smart_app.fhir import FhirClient, Resource
from smart_app.gateway import GatewayClient
from smart_app.launch import OWN_SCOPE
from smart_app.launches import Grant
from smart_app.oauth import ID_TOKEN_TYPE, TOKEN_EXCHANGE, OAuthClient, authorization_url, challenge, new_verifier
from smart_app.oauth import Answer as TokenAnswer
from smart_app.patients import local_patient
from smart_app.reading.proof import content, proof_in
from smart_app.report.signature import Proof
from smart_app.tenants import NamedKey, Provision, Tenant, base_url

LAUNCH = re.compile(r'src="([^"]*/launch\?[^"]+)"')
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Platform:
    """Where everything is, from the files of the demo's folder."""

    demo: dict[str, Any]
    provision: Provision

    @classmethod
    def read(cls, directory: Path) -> "Platform":
        """Read `demo.json` and the app's provisioning."""
        demo = orjson.loads((directory / "demo.json").read_bytes())
        return cls(demo, Provision.model_validate_json((directory / "provision" / "app.json").read_bytes()))

    @property
    def app_url(self) -> str:
        """The app."""
        return str(self.demo["app"]["url"])

    @property
    def ehr_url(self) -> str:
        """The hospitals' EHR."""
        return str(self.demo["open"]["url"]).rstrip("/")

    @property
    def issuer(self) -> str:
        """Our own server."""
        return str(self.demo["fhir"]["konsil"]["issuer"])

    @property
    def fhir_base(self) -> str:
        """Its FHIR base."""
        return str(self.demo["fhir"]["konsil"]["base"])

    @property
    def gateway_url(self) -> str:
        """The gateway."""
        return str(self.demo["dicom"]["gateway"]["viewer"])

    def tenant(self, key: str) -> Tenant:
        """A hospital as the app knows it."""
        return next(each for each in self.provision.tenants if each.name == key)

    def origins(self) -> frozenset[str]:
        """All that may be reached."""
        return frozenset({self.app_url, self.ehr_url, self.issuer, self.gateway_url})


@dataclass
class Caller:
    """Somebody signed in: the server as they may use it, and who they are there."""

    fhir: FhirClient
    gateway: GatewayClient
    practitioner: str
    name: str
    organization: str | None
    grant: Grant


@dataclass
class Visitor(Caller):
    """A physician in a patient's chart, the hospital's server beside ours."""

    ehr: FhirClient
    tenant: Tenant
    ehr_user: str
    patient: str


@dataclass
class People:
    """Signs people in when they are first needed, and again when their token has ended."""

    platform: Platform
    http: httpx.AsyncClient = field(init=False)
    _callers: dict[str, Caller] = field(default_factory=dict)
    _visitors: dict[tuple[str, str], Visitor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = guarded_async_client(self.platform.origins(), WAIT_SECONDS)

    async def of_ours(self, username: str) -> Caller:
        """Somebody of the second-opinion service."""
        known = self._callers.get(username)
        if known is None or not known.grant.fresh():
            self._callers[username] = known = await self._sign_in(username)
        return known

    async def at_chart(self, username: str, patient: str) -> Visitor:
        """A hospital's physician, in a patient's chart."""
        known = self._visitors.get((username, patient))
        if known is None or not known.grant.fresh():
            self._visitors[username, patient] = known = await self._launch(username, patient)
        return known

    async def browser_at_app(self, username: str) -> tuple[Browser, str]:
        """A browser in which somebody of ours has signed in to the app; and the address of the launch."""
        browser = Browser(self.http)
        page = await browser.get(f"{self.platform.app_url}/sign-in")
        page = await browser.post(form_action(page), sign_in_form(page, username))
        return browser, launch_of(page)

    async def browser_in_chart(self, username: str, patient: str) -> tuple[Browser, str]:
        """A browser in which a hospital's physician has launched the app from a patient's chart."""
        browser, address = await self._chart(username, patient)
        return browser, launch_of(await browser.get(address))

    async def proved(self, caller: Caller, unsigned: Resource) -> Proof | None:
        """The signer's proof for a report, by PIN; None where the server asks for none."""
        oauth, key = OAuthClient(self.http), self.platform.provision.client
        endpoints = await oauth.discover(self.platform.fhir_base, self.platform.origins())
        if not endpoints.signing:
            return None
        form = content(unsigned, "Second opinion") | {"token": caller.grant.access_token, "pin": people.PIN}
        answer = await oauth.signing(key.for_token_url(endpoints.token), endpoints.signing, form)
        return proof_in(answer)

    async def _sign_in(self, username: str) -> Caller:
        browser, key, issuer = Browser(self.http), self.platform.provision.client, self.platform.issuer
        asked = {"scope": OWN_SCOPE, "aud": self.platform.fhir_base}
        address, verifier = self._authorize(f"{issuer}/oauth/authorize", key, asked)
        page = await browser.get(address)
        answer = await browser.post(form_action(page), sign_in_form(page, username), self._callback)
        token = await self._redeem(key, f"{issuer}/oauth/token", answer, verifier)
        return Caller(**self._caller(token))

    async def _launch(self, username: str, patient: str) -> Visitor:
        tenant = self.platform.tenant(hospital_of(username))
        browser, address = await self._chart(username, patient)
        given = httpx.URL(address).params
        key = NamedKey(client_id=tenant.client_id, key=tenant.key or self.platform.provision.client.key)
        asked = {"scope": tenant.scope, "launch": given["launch"], "aud": base_url(given["iss"])}
        authorize, verifier = self._authorize(f"{tenant.issuer}/oauth/authorize", key, asked)
        answer = await browser.get(authorize, self._callback)
        token = await self._redeem(key, f"{tenant.issuer}/oauth/token", answer, verifier)
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": str(token.content["id_token"]),
            "subject_token_type": ID_TOKEN_TYPE,
            "scope": "openid fhirUser user/*.cruds",
        }
        own = self.platform.provision.client.for_token_url(f"{self.platform.issuer}/oauth/token")
        caller = self._caller(await OAuthClient(self.http).token(own, form))
        ehr = FhirClient(self.http, tenant.fhir_base, constant(token.grant.access_token))
        ours = await local_patient(ehr, caller["fhir"], str(token.content["patient"]), tenant)
        user = "/".join(str(token.content.get("fhirUser", "")).split("/")[-2:])
        return Visitor(**caller, ehr=ehr, tenant=tenant, ehr_user=user, patient=ours)

    async def _chart(self, username: str, patient: str) -> tuple[Browser, str]:
        """The physician's browser at the EHR, and the launch address in the chart's frame."""
        browser, home = Browser(self.http), f"{self.platform.ehr_url}/{hospital_of(username)}"
        form: Form = {"user": username, "password": people.PASSWORD}
        await browser.post(f"{home}/sign-in", form)
        page = await browser.get(f"{home}/patients/{patient}/second-opinion")
        found = LAUNCH.search(page.text)
        if found is None:
            raise PageError(f"the chart of {patient} launches no app")
        return browser, unescape(found.group(1))

    @property
    def _callback(self) -> str:
        return f"{self.platform.app_url}/callback"

    def _authorize(self, endpoint: str, key: NamedKey, asked: dict[str, str]) -> tuple[str, str]:
        verifier = new_verifier()
        parameters = {
            "response_type": "code",
            "client_id": key.client_id,
            "redirect_uri": self._callback,
            "state": new_verifier(),
            "nonce": new_verifier(),
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
            **asked,
        }
        return authorization_url(endpoint, parameters), verifier

    async def _redeem(self, key: NamedKey, token_url: str, answer: httpx.Response, verifier: str) -> TokenAnswer:
        if "location" not in answer.headers or "code" not in redirect_query(answer):
            raise PageError("the sign-in gave no code")
        form = {"grant_type": "authorization_code", "code": redirect_query(answer)["code"]}
        form |= {"code_verifier": verifier, "redirect_uri": self._callback}
        return await OAuthClient(self.http).token(key.for_token_url(token_url), form)

    def _caller(self, token: TokenAnswer) -> dict[str, Any]:
        source = constant(token.grant.access_token)
        return {
            "fhir": FhirClient(self.http, self.platform.fhir_base, source),
            "gateway": GatewayClient(self.http, self.platform.gateway_url, token.grant.access_token),
            "practitioner": "/".join(str(token.content["fhirUser"]).split("/")[-2:]),
            "name": str(token.content.get("name", "")),
            "organization": token.content.get("organization"),
            "grant": token.grant,
        }


def hospital_of(username: str) -> str:
    """The hospital at whose EHR a physician has an account."""
    return next(key for key, those in people.REQUESTERS.items() if username in {each.username for each in those})


def sign_in_form(page: httpx.Response, username: str) -> Form:
    """The sign-in page's form, filled in."""
    return hidden_fields(page.text) | {"username": username, "password": people.PASSWORD}


def launch_of(page: httpx.Response) -> str:
    """The address under which all pages of a launch lie: `http://.../l/x/`."""
    parts = page.url.path.split("/")
    if parts[1:2] != ["l"]:
        raise PageError("the app was not opened")
    return str(page.url.copy_with(path=f"/l/{parts[2]}/", query=None))


def constant(token: str) -> Any:
    """A token source that gives this token."""

    async def source() -> str:
        return token

    return source
