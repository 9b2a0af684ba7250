"""FHIR resources as the authorization server needs them, through the ordinary interactions."""

from collections.abc import Mapping
from typing import Any

from fhir_server.caller import Caller
from fhir_server.context import Node


def registrar(organization: str | None) -> Caller:
    """Give the caller in whose name the server keeps its directory and loads what an administrator provisions."""
    return Caller(
        subject="registrar",
        client_id="registrar",
        roles=frozenset({"administrator"}),
        organization=organization,
        scopes=("system/*.cruds",),
    )


async def create_once(node: Node, caller: Caller, resource: dict[str, Any], criteria: Mapping[str, str]) -> str:
    """Create unless one matches; gives the id of the one there is.  https://hl7.org/fhir/R4/http.html#ccreate"""
    raise NotImplementedError


async def put(node: Node, caller: Caller, resource: dict[str, Any]) -> None:
    """Create or update under the id that the resource names, unless it is there unchanged."""
    raise NotImplementedError


async def search(node: Node, caller: Caller, resource_type: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Search as this caller; gives the matches of the first page."""
    raise NotImplementedError
