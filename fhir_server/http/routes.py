"""Addresses of the RESTful API as a table.  https://hl7.org/fhir/R4/http.html#summary"""

from starlette.routing import BaseRoute, Route

from fhir_server.http import binary, handlers
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


def routes(authenticate: Authenticate) -> list[BaseRoute]:
    """All routes below /fhir; those of the authorization server come before them."""
    return [
        Route("/fhir/metadata", metadata, methods=["GET", "OPTIONS"]),
        Route("/fhir/openapi.json", openapi_document, methods=["GET"]),
        *(Route(path, Endpoint(authenticate, methods, BINARY.get(path))) for path, methods in TABLE.items()),
    ]
