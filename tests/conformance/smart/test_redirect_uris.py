"""No trick with `redirect_uri` sends a code elsewhere.  RFC 9700 4.1.3: compared to the character; RFC 6749 3.1.2.4"""

from collections.abc import Iterator
from itertools import product

import pytest
from pydantic import ValidationError

from fhir_server.auth.entries import ClientEntry
from tests.fhir_server.auth.world import AUTHORIZE, CALLBACK, World, returned

pytestmark = pytest.mark.anyio
HOST = "app.test"
HOSTS = (
    "evil.test",
    f"{HOST}.evil.test",
    f"evil{HOST}",
    f"{HOST}.",
    HOST.upper(),
    f"{HOST}:443",
    f"{HOST}:8443",
    f"{HOST}@evil.test",
    f"x@{HOST}",
    f"evil.test%40{HOST}",
    f"evil.test\\@{HOST}",
    f"evil.test\\.{HOST}",
    f"evil.test#@{HOST}",
    f"evil.test?@{HOST}",
    f"{HOST}%2eevil.test",
    f"{HOST}%00.evil.test",
    f"{HOST}%0d%0a.evil.test",
    f"{HOST}\u3002evil.test",
    "\u0430pp.test",
    "xn--pp-7kc.test",
    "127.0.0.1",
    "[::1]",
    "*.test",
)
PATHS = (
    "",
    "/",
    "/callback/",
    "//callback",
    "/./callback",
    "/x/../callback",
    "/callback/../evil",
    "/callback/%2e%2e/evil",
    "/callback%2f..%2fevil",
    "/callback;x",
    "/callback%20",
    "/callback ",
    "/callback\t",
    "/callback\r\nLocation: https://evil.test",
    "/Callback",
    "/%63allback",
    "/callback?",
    "/callback?x=1",
    "/callback#",
    "/callback#https://evil.test",
    "\\callback",
)
SCHEMES = (
    "http://",
    "HTTPS://",
    "https:/",
    "https:",
    "//",
    "https:///",
    "https:\\\\",
    "ftp://",
    "app.test:/",
    " https://",
)
OTHERS = (
    "javascript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "",
    " ",
    "null",
    "urn:ietf:wg:oauth:2.0:oob",
)


def tricks() -> Iterator[str]:
    """Each part of the registered address changed by itself, and two at once."""
    yield from OTHERS
    yield from (f"{scheme}{HOST}/callback" for scheme in SCHEMES)
    yield from (f"https://{host}/callback" for host in HOSTS)
    yield from (f"https://{HOST}{path}" for path in PATHS)
    yield from (f"https://{host}{path}" for host, path in list(product(HOSTS, PATHS))[::11])
    yield f"{CALLBACK},https://evil.test"
    yield f"https://evil.test/{CALLBACK}"


@pytest.mark.spec("RFC 9700 4.1.3")
async def test_no_trick_with_the_address_gets_an_answer(world: World) -> None:
    await world.sign_in("ito")
    asked = sorted(set(tricks()) - {CALLBACK})
    assert len(asked) > 80
    for number, address in enumerate(asked):
        values = {name: value for name, value in (AUTHORIZE | {"redirect_uri": address}).items() if value is not None}
        by_post = number % 4 == 0
        answer = await (
            world.http.post("/oauth/authorize", data=values)
            if by_post
            else world.http.get("/oauth/authorize", params=values)
        )
        assert answer.status_code == 400, (address, answer.status_code)
        assert "location" not in answer.headers, address
        assert "evil" not in answer.text, address
    assert returned(await world.authorize())["code"], "the address itself is answered"


@pytest.mark.spec("RFC 6749 3.1.2")
@pytest.mark.parametrize(
    "address",
    [
        "http://app.test/callback",
        "https://x@app.test/callback",
        "https://app.test/callback#x",
        "https://app.test\\@evil.test/",
        "https://app.test\\evil",
        "https://app.test/callback\r\nX: y",
        "https://app.test/call back",
        "https://\u0430pp.test/callback",
        "https://app.test:port/callback",
        "https://*.app.test/callback",
        "javascript:alert(1)",
        "https:///callback",
        "app.test:/callback",
        "",
    ],
)
async def test_an_address_that_could_be_read_in_two_ways_is_not_registered(address: str) -> None:
    with pytest.raises(ValidationError, match="https address"):
        ClientEntry(client_id="x", name="X", type="public", redirect_uris=(address,))
