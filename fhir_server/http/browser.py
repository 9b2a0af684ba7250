"""Reading pages as the person who is signed in in this browser (`/login`): GET, and as HTML only.

Nothing can be written this way and no other site can read the answer: it is never JSON, and may not be framed.
"""

import time

from starlette.requests import Request

from fhir_server.auth import sessions
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.http.negotiation import presentation_of

SCOPES = ("user/*.rs",)


async def reader(request: Request) -> Caller | None:
    """Who reads; None where a token is needed."""
    if request.method not in {"GET", "HEAD"} or presentation_of(request).form != "html" or not request.cookies:
        return None
    node: Node = request.app.state.node
    session = await sessions.lookup(node.database, node.settings, request.cookies, time.time())
    if session is None:
        return None
    who = session.account
    return Caller(who.account_id, "", who.fhir_user, who.roles, who.organization, SCOPES)
