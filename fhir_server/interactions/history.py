"""History of a resource, a type, or everything.  https://hl7.org/fhir/R4/http.html#history"""

from dataclasses import replace
from urllib.parse import quote, urlencode

from fhir_server.context import Context
from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.bundle import Document, bundle, history_entry
from fhir_server.interactions.cursor import seal, unseal
from fhir_server.search.dates import date_range
from fhir_server.search.query import Pairs
from fhir_server.store.repository import HistoryScope, Repository, Version

PASSED_OVER = {"_format", "_pretty"}


async def history(ctx: Context, scope: HistoryScope, pairs: Pairs, store: Repository | None = None) -> Document:
    """Versions, newest first, deletions among them; `_since` (included), `_at`, `_count`. Pages by a cursor.

    Raises Invalid, Forbidden, and NotFound for a resource that never was or may not be seen.
    """
    parameters = _parameters(pairs)
    count = _count(ctx, parameters)
    scope = _narrowed(scope, parameters)
    address = _address(ctx, scope)
    purpose = f"history {address}?{urlencode(_kept(parameters))}"
    if "_cursor" in parameters:
        first, second, third = unseal(ctx.node.cursor_key, purpose, parameters["_cursor"])
        scope = replace(scope, after=(first, second, third))
    versions = await (store or ctx.store).history(scope, count + 1)
    if scope.resource_id is not None and not versions and not parameters:
        raise NotFound(f"{scope.resource_type}/{scope.resource_id} is not known.")
    return _document(ctx, versions, count, (address, purpose, parameters))


def _document(ctx: Context, versions: list[Version], count: int, request: tuple[str, str, dict[str, str]]) -> Document:
    address, purpose, parameters = request
    entries = [history_entry(ctx.node.settings.fhir_url, version) for version in versions[:count]]
    links = [("self", _with(address, parameters))]
    if len(versions) > count > 0:
        last = versions[count - 1]
        cursor = seal(ctx.node.cursor_key, purpose, (last.last_updated, last.row_id, last.version_id))
        links.append(("next", _with(address, _kept(parameters) | {"_cursor": cursor})))
    whole = len(versions) <= count and "_cursor" not in parameters
    return bundle("history", entries, links, len(versions) if whole else None)


def _parameters(pairs: Pairs) -> dict[str, str]:
    parameters = {name: text for name, text in pairs if name not in PASSED_OVER and text}
    unknown = parameters.keys() - {"_since", "_at", "_count", "_cursor"}
    if unknown:
        raise Invalid(f"A history has no parameter '{min(unknown)}'.")
    return parameters


def _kept(parameters: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in sorted(parameters.items()) if name != "_cursor"}


def _count(ctx: Context, parameters: dict[str, str]) -> int:
    text = parameters.get("_count", str(ctx.node.settings.page_size))
    if not text.isascii() or not text.isdigit():
        raise Invalid("_count is a whole number.")
    return min(int(text), ctx.node.settings.max_page_size)


def _narrowed(scope: HistoryScope, parameters: dict[str, str]) -> HistoryScope:
    if "_since" in parameters:
        scope = replace(scope, since=date_range(parameters["_since"].replace(" ", "+"))[0])
    if "_at" in parameters:
        low, high = date_range(parameters["_at"].replace(" ", "+"))
        scope = replace(scope, current_from=low, until=high)
    return scope


def _address(ctx: Context, scope: HistoryScope) -> str:
    parts = (ctx.node.settings.fhir_url, scope.resource_type, scope.resource_id, "_history")
    return "/".join(part for part in parts if part)


def _with(address: str, parameters: dict[str, str]) -> str:
    return address + (f"?{urlencode(parameters, quote_via=quote, safe=':')}" if parameters else "")
