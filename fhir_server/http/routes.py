"""Addresses of the RESTful API as a table.  https://hl7.org/fhir/R4/http.html#summary"""

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_server.http import binary, bulk_export, handlers
from fhir_server.http.endpoint import Authenticate, Endpoint
from fhir_server.http.metadata import metadata, openapi_document
from fhir_server.http.operations import on_operation

TYPE = {
    "GET": handlers.on_search,
    "POST": handlers.on_create,
    "PUT": handlers.on_conditional_update,
    "PATCH": handlers.on_conditional_patch,
    "DELETE": handlers.on_conditional_delete,
}
INSTANCE = {
    "GET": handlers.on_read,
    "PUT": handlers.on_update,
    "PATCH": handlers.on_patch,
    "DELETE": handlers.on_delete,
}
OPERATION = {"GET": on_operation, "POST": on_operation}
TABLE = {
    "/fhir/${operation}": OPERATION,
    "/fhir/{type}/${operation}": OPERATION,
    "/fhir/{type}/{id}/${operation}": OPERATION,
    "/fhir/${operation}/{key}": {"GET": bulk_export.on_status, "DELETE": bulk_export.on_cancel},
    "/fhir/${operation}/{key}/{file}": {"GET": bulk_export.on_file},
    "/fhir": {"GET": handlers.on_search_system, "POST": handlers.on_bundle},
    "/fhir/": {"GET": handlers.on_search_system, "POST": handlers.on_bundle},
    "/fhir/_search": {"POST": handlers.on_post_search_system},
    "/fhir/_history": {"GET": handlers.on_history_system},
    "/fhir/{type}": TYPE,
    "/fhir/{type}/_search": {"POST": handlers.on_post_search},
    "/fhir/{type}/_history": {"GET": handlers.on_history_type},
    "/fhir/{type}/{id}": INSTANCE,
    "/fhir/{type}/{id}/_history": {"GET": handlers.on_history_instance},
    "/fhir/{type}/{id}/_history/{vid}": {"GET": handlers.on_vread},
    "/fhir/{type}/{id}/{held}": {"GET": handlers.on_search_compartment},
    "/fhir/{type}/{id}/{held}/_search": {"POST": handlers.on_post_search_compartment},
    "/fhir/{rest:path}": {"GET": handlers.on_unknown, "POST": handlers.on_unknown},
}


# Where the type is Binary: bytes as what they are.
BINARY = {
    "/fhir/{type}": TYPE | {"POST": binary.on_create},
    "/fhir/{type}/{id}": INSTANCE | {"GET": binary.on_read, "PUT": binary.on_update},
    "/fhir/{type}/{id}/_history/{vid}": {"GET": binary.on_vread},
}


REST = "/fhir/{rest:path}"
# Parts of an address that are not a name or an id; the empty one is the end of "/fhir/".
WORDS = frozenset({"_search", "_history", ""})
# Answered by routes of their own.
ELSEWHERE = frozenset({"metadata", "openapi.json", ".well-known"})
Shape = tuple[str, ...]


class Addresses:
    """Middleware that answers every address of the table, found by its shape in one look-up: patterns tried one after
    the other cost a read a third of its time. What it does not know goes on to the routes.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        endpoints = {path: Endpoint(authenticate, methods, BINARY.get(path)) for path, methods in TABLE.items()}
        self._app = app
        self._rest = endpoints.pop(REST)
        self._by_shape = {_shape(_parts(path) or []): (_names(path), one) for path, one in endpoints.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        parts = _parts(scope["path"].removeprefix(scope.get("root_path", ""))) if scope["type"] == "http" else None
        if parts is None or (parts and parts[0] in ELSEWHERE):
            await self._app(scope, receive, send)
            return
        names, endpoint = self._by_shape.get(_shape(parts), ((), self._rest))
        scope["path_params"] = {name: parts[place].removeprefix("$") for place, name in names}
        await endpoint(scope, receive, send)


def _parts(path: str) -> list[str] | None:
    """What stands after /fhir; None for another address."""
    return path.split("/")[2:] if path.startswith("/fhir/") or path == "/fhir" else None


def _shape(parts: list[str]) -> Shape:
    """What the table tells apart: the words of FHIR, operations, and anything else."""
    return tuple([part if part in WORDS else "$" if part[:1] == "$" and part != "$" else "{}" for part in parts])


def _names(path: str) -> tuple[tuple[int, str], ...]:
    """Which part of the address is what."""
    found = ((place, part.strip("${}")) for place, part in enumerate(_parts(path) or []) if part.endswith("}"))
    return tuple(found)


def routes() -> list[BaseRoute]:
    """Those below /fhir that say what the server is."""
    return [
        Route("/fhir/metadata", metadata, methods=["GET", "OPTIONS"]),
        Route("/fhir/openapi.json", openapi_document, methods=["GET"]),
    ]
