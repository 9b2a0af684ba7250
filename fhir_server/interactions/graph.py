"""What a GraphDefinition reaches from a resource.  https://hl7.org/fhir/R4/graphdefinition.html

A link follows the references at its path, or searches by its `params` with `{ref}` for the resource it stands at; only
targets of the types it names are taken, and their links followed in turn. `min` is held, profiles and rules are not.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.errors import Invalid, Unprocessable
from fhir_server.fhirpath import ExpressionError, compile_path
from fhir_server.search.readers import LOCAL_REFERENCE
from fhir_server.store.repository import Version
from fhir_server.store.writer import Identity

Document = dict[str, Any]
MAX_DEPTH = 10


class Graph:
    """Walks for one caller. `found` is what has been reached, in order, without the start."""

    def __init__(self, ctx: Context, start: Version, limit: int) -> None:
        self._ctx = ctx
        self._limit = limit
        self._known = {start.reference}
        self.found: list[Version] = []

    async def walk(self, at: Version, links: Sequence[Document], depth: int = 0) -> None:
        """Follow links from a resource. Raises Invalid, Unprocessable, Forbidden."""
        if depth > MAX_DEPTH:
            raise Unprocessable(f"A graph may be {MAX_DEPTH} links deep.")
        for link in links:
            reached = 0
            for target in link.get("target", []):
                for version in await self._reached(at, link, target):
                    reached += 1
                    if self._take(version):
                        await self.walk(version, target.get("link", []), depth + 1)
            if reached < int(link.get("min", 0)):
                raise Unprocessable(f"{at.reference} has too little for the graph at '{link.get('path', '')[:60]}'.")

    def _take(self, version: Version) -> bool:
        """Whether it is new."""
        if version.reference in self._known:
            return False
        self._known.add(version.reference)
        self.found.append(version)
        if len(self.found) > self._limit:
            raise Unprocessable(f"The document would have more than {self._limit} resources.")
        return True

    async def _reached(self, at: Version, link: Document, target: Document) -> list[Version]:
        wanted = str(target.get("type", ""))
        if "params" in target:
            pairs = parse_qsl(str(target["params"]).replace("{ref}", at.reference), keep_blank_values=True)
            query = self._ctx.node.parser.parse(wanted, [*pairs, ("_count", str(self._limit))])
            return (await self._ctx.store.search(query)).matches
        identities = self._referred(at, str(link.get("path", "")))
        return await self._ctx.store.many(sorted({one for one in identities if one[0] == wanted}))

    def _referred(self, at: Version, path: str) -> Iterable[Identity]:
        """The local references at a path."""
        resource = wire.loads(at.content or b"{}")
        base = f"{self._ctx.node.settings.fhir_url}/"
        try:
            nodes = compile_path(path, at.resource_type, self._ctx.node.definitions)((at.resource_type, resource))
        except ExpressionError as error:
            raise Invalid(f"The path '{path[:60]}' of the graph cannot be used: {error}") from None
        for _, value in nodes:
            text = value.get("reference") if isinstance(value, dict) else value
            match = LOCAL_REFERENCE.match(str(text).removeprefix(base))
            if match:
                yield match.group(1), match.group(2)
