"""Keys change without a pause: ours while others keep our key set, theirs while we keep it.  RFC 7517 5"""

import time
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from fhir_server.auth import administration, jose, signing
from fhir_server.auth.jose import KeySource, Rejected
from tests.fhir_server.auth.world import EC_KEY, RSA_KEY, World, public

pytestmark = [pytest.mark.anyio, pytest.mark.spec("RFC 7517 5")]
HOUR = 3600.0


async def kids(world: World, now: float) -> list[str]:
    return [key["kid"] for key in (await signing.jwks(world.node.database, now))["keys"]]


async def signs(world: World, now: float) -> str:
    return str(jose.peek(await signing.sign(world.node.database, {"sub": "x"}, now))[0]["kid"])


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_ended(world: World) -> None:
    now = time.time()
    [old] = await kids(world, now)
    new = await administration.rotate_key(world.node)
    assert await kids(world, now + 1) == [new, old]
    assert await signs(world, now + 500) == old
    assert await signs(world, now + 700) == new
    assert await kids(world, now + HOUR) == [new, old]
    assert await kids(world, now + 2 * HOUR) == [new]


async def test_a_key_that_leaked_is_refused_at_once_and_still_proves_the_audit(world: World) -> None:
    db, now = world.node.database, time.time()
    token = await signing.sign(db, {"sub": "x"}, now)
    new = await administration.rotate_key(world.node, at_once=True)
    assert (await kids(world, now), await signs(world, now)) == ([new], new)
    assert await signing.check(db, token) == {"sub": "x"}


async def test_an_unknown_kid_looks_once_however_many_ask(world: World) -> None:
    asked: list[str] = []
    published = public(EC_KEY)

    async def fetch(url: str) -> Mapping[str, Any]:
        asked.append(url)
        await anyio.lowlevel.checkpoint()
        return published

    source = KeySource(fetch)
    await source.find(None, "https://a.test", "ec-1", 0.0)

    async def ask(kid: str, now: float) -> None:
        try:
            await source.find(None, "https://a.test", kid, now)
        except Rejected:
            refused.append(kid)

    refused: list[str] = []
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, f"guessed-{number}", 20.0)
    assert (len(asked), len(refused)) == (2, 20)
    published = public(RSA_KEY)
    await ask("rsa-1", 25.0)
    assert (len(asked), len(refused)) == (2, 21)
    await ask("rsa-1", 31.0)
    assert (len(asked), len(refused)) == (3, 21)
    with pytest.raises(Rejected):
        await source.find(None, "https://a.test", "ec-1", 32.0)


async def test_a_key_set_that_never_ends_is_not_read_to_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    address = world.publish("/jwks", EC_KEY)
    assert (await jose.fetch_jwks(address))["keys"]
    monkeypatch.setattr(jose, "JWKS_BYTES", 50)
    with pytest.raises(Rejected, match="unusable"):
        await jose.fetch_jwks(address)
