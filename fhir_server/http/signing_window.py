"""The window in which a person signs in anew for one signature.  docs/signature.md

It is the sign-in page that every sign-in goes through, on behalf of a signing transaction instead of a client: no code
goes anywhere.  The page that waits for the signature hears of it from the client's server.
"""

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import authorize, reauthentication
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.http import auditing, pages


async def told(server: AuthorizationServer, asked: authorize.Request | None) -> str:
    """Say above the sign-in form what it is for; nothing where it is for no signature.  Raises Untrusted."""
    if asked is None or asked.signing is None:
        return ""
    row, account = await reauthentication.asked(server, asked.signing)
    return f"Sign in again as {account.name} to sign: {row['title']}."


async def decide(server: AuthorizationServer, request: Request, key: str, session: Session) -> Response:
    """Take the person's word: this is what I sign.  Raises Untrusted when the transaction is over or another's."""
    row, account = await reauthentication.asked(server, key)
    await reauthentication.by_window(server, key, session)
    who, method = auditing.person(account, row["client_id"]), " ".join(reauthentication.how(account))
    await auditing.proved(request, who, row["resource"], method)
    return pages.render(server, request, "signing_done.html", {"title": row["title"]})
