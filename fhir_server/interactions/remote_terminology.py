"""The configured terminology server, asked where a definition is not on this one.

It is told codes, names of value sets and what somebody types into a search field, nothing about a patient. Only its own
origin is reached, and no redirect is followed.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any

import httpx

from fhir_server import wire
from fhir_server.errors import Invalid, NotLoaded, Unavailable, Unprocessable
from fhir_server.interactions.operations import Document, Invocation
from fhir_server.interactions.operations.parameters import PRIMITIVES
from fhir_server.interactions.terminology import definition_at_hand
from konsil.http_client import guarded_async_client

TIMEOUT_SECONDS = 10
MOST_SAID = 300
Run = Callable[[Invocation], Awaitable[Document]]


def with_fallback(name: str, run: Run) -> Run:
    """The operation, and where it lacks a definition the same of the terminology server. Raises Unavailable too."""

    @wraps(run)
    async def asked(call: Invocation) -> Document:
        try:
            return await run(call)
        except NotLoaded:
            server = call.ctx.node.settings.terminology_server
            if server is None:
                raise
            return await _ask(server, f"{call.resource_type}/${name}", await _question(call))

    return asked


async def _ask(server: str, address: str, question: Document) -> Document:
    headers = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
    try:
        async with guarded_async_client([server], TIMEOUT_SECONDS) as client:
            answer = await client.post(f"{server.rstrip('/')}/{address}", content=wire.dumps(question), headers=headers)
    except httpx.HTTPError as error:
        raise Unavailable("The terminology server does not answer.", headers={"Retry-After": "10"}) from error
    content = _read(answer)
    if not answer.is_success:
        raise Unprocessable(f"The terminology server refused: {_reason(content)}")
    return content


async def _question(call: Invocation) -> Document:
    """The same parameters; a definition that this server has goes along whole."""
    parameters = [*_typed(call)]
    known = await definition_at_hand(call)
    if known is not None:
        name = known["resourceType"][0].lower() + known["resourceType"][1:]
        parameters = [one for one in parameters if one["name"] not in {"url", name}]
        parameters.append({"name": name, "resource": known})
    return {"resourceType": "Parameters", "parameter": parameters}


def _typed(call: Invocation) -> Iterator[Document]:
    """What came in the body as it was, what came in the address with its type."""
    for name, value, key in call.parameters.entries:
        if key is not None:
            yield {"name": name, key: value}
        elif PRIMITIVES.get(name) == "Boolean":
            yield {"name": name, "valueBoolean": value == "true"}
        elif PRIMITIVES.get(name) == "Integer":
            yield {"name": name, "valueInteger": int(value)}
        else:
            yield {"name": name, f"value{PRIMITIVES.get(name, 'String')}": value}


def _read(answer: httpx.Response) -> Document:
    try:
        content = wire.loads(answer.content)
    except Invalid:
        content = None
    if not isinstance(content, dict) or "resourceType" not in content:
        raise Unavailable(f"The terminology server answers {answer.status_code} without a FHIR resource.")
    return content


def _reason(content: Any) -> str:
    issues = content.get("issue") or [{}]
    first = issues[0] if isinstance(issues, list) and isinstance(issues[0], dict) else {}
    text = first.get("diagnostics") or (first.get("details") or {}).get("text") or "it does not say why."
    return str(text)[:MOST_SAID]
