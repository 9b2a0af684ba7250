"""Tokens of a launch, renewed when they end; two requests at once renew once.

A refresh token is used once: the answer replaces it, or keeps the old one when the server sends none (Cerner).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from anyio.to_thread import run_sync

from smart_app.errors import AppError, LaunchRefused, SignedOut, Unavailable
from smart_app.launches import Grant, Launch, Tokens
from smart_app.oauth import Answer
from smart_app.services import Services
from smart_app.tenants import NamedKey, Tenant

Party = Literal["ehr", "own"]
SILENT_SECONDS = 5.0


class TokenKeeper:
    """Gives out access tokens of launches."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._silent: dict[tuple[str, Party], tuple[float, Unavailable]] = {}

    async def access_token(self, launch: Launch, party: Party) -> str:
        """A usable access token at the EHR or at our own server.  Raises SignedOut when it ended for good."""
        grant = await self._grant(launch, party)
        if grant.fresh():
            return grant.access_token
        async with self._locks[launch.id]:
            grant = await self._grant(launch, party)
            return grant.access_token if grant.fresh() else await self._renew(launch, party, grant)

    async def another_token(self, launch: Launch, party: Party, refused: str) -> str:
        """A token in place of one that the server refused before its time; several requests at once renew once.

        Raises SignedOut when there is none to be had.
        """
        async with self._locks[launch.id]:
            grant = await self._grant(launch, party)
            return await self._renew(launch, party, grant) if grant.access_token == refused else grant.access_token

    async def _grant(self, launch: Launch, party: Party) -> Grant:
        tokens = await run_sync(self.services.sessions.tokens, launch.id)
        grant: Grant | None = getattr(tokens, party) if tokens else None
        if grant is None:
            raise _ended(launch)
        return grant

    async def _renew(self, launch: Launch, party: Party, grant: Grant) -> str:
        if grant.refresh_token is None:
            raise await self._end(launch, party)
        until, silence = self._silent.get((launch.id, party), (0.0, None))
        if silence is not None and until > time.monotonic():  # who waits in line must not wait as long again
            raise silence
        try:
            answer = await self._asked(launch, party, grant.refresh_token)
        except LaunchRefused as error:
            raise await self._end(launch, party) from error
        except Unavailable as error:
            self._silent[launch.id, party] = time.monotonic() + SILENT_SECONDS, error
            raise
        renewed = answer.grant.model_copy(update={"refresh_token": answer.grant.refresh_token or grant.refresh_token})
        tokens = await run_sync(self.services.sessions.tokens, launch.id)
        if tokens is not None:
            await run_sync(self.services.sessions.replace_tokens, launch.id, _with(tokens, party, renewed))
        return renewed.access_token

    async def _end(self, launch: Launch, party: Party) -> SignedOut:
        """A launch that our own server gives no token any more has ended: the same person's next one takes its place.

        Without the hospital's token the drafts can still be read, so that launch goes on.
        """
        if party == "own":
            await run_sync(self.services.sessions.end_launch, launch.id)
        return _ended(launch)

    async def _asked(self, launch: Launch, party: Party, refresh_token: str) -> Answer:
        """Use the refresh token.  Raises LaunchRefused when it is no good, Unavailable when nobody could say."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        key, base, origins = await self._server(launch, party)
        oauth = self.services.oauth(origins)
        endpoints = await oauth.discover(base, origins)
        return await oauth.token(key.for_token_url(endpoints.token), form)

    async def _server(self, launch: Launch, party: Party) -> tuple[NamedKey, str, frozenset[str]]:
        if party == "own":
            return await own_key(self.services), self.services.settings.fhir_base_url, self.services.own_origins()
        tenant = await run_sync(self.services.provisioned.by_name, launch.tenant or "")
        if tenant is None:
            raise SignedOut("This hospital is no longer connected.")
        return await tenant_key(self.services, tenant), tenant.fhir_base, tenant.origins()


async def give_back(services: Services, ended: Sequence[Tokens]) -> None:
    """Revoke at our own server the tokens of launches that have ended, and with them what the image viewer shows.

    RFC 7009.  A hospital's tokens end with the hospital's own session.
    """
    try:
        key, base, origins = await own_key(services), services.settings.fhir_base_url, services.own_origins()
        oauth = services.oauth(origins)
        endpoints = await oauth.discover(base, origins)
    except AppError:  # they end by themselves then
        return
    for each in ended:
        token = each.own.refresh_token or each.own.access_token
        await oauth.revoke(key.for_token_url(endpoints.token), endpoints.revocation, token)


async def own_key(services: Services) -> NamedKey:
    """The app's key at our own server.  Raises SignedOut before the app is provisioned."""
    key = await run_sync(services.provisioned.key, "client")
    if key is None:
        raise SignedOut("The app has not been set up yet.", "An administrator runs `konsil app provision`.")
    return key


async def tenant_key(services: Services, tenant: Tenant) -> NamedKey:
    """The app's key at a hospital: the hospital's own, else the app's."""
    key = tenant.key or (await own_key(services)).key
    return NamedKey(client_id=tenant.client_id, key=key)


def _with(tokens: Tokens, party: Party, grant: Grant) -> Tokens:
    return tokens.model_copy(update={party: grant})


def _ended(launch: Launch) -> SignedOut:
    way = "Open the app again from the patient's chart." if launch.tenant else "Sign in again; your drafts are kept."
    return SignedOut("This sign-in has ended.", way)


def life_end(tokens: Tokens, hours: float) -> float:
    """When a launch ends: with its token at our server, or with the session when that can be renewed."""
    longest = time.time() + hours * 3600
    return longest if tokens.own.refresh_token else min(longest, tokens.own.expires_at)
