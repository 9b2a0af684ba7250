"""Binaries on their way into the store: what is large goes out of the row.  https://hl7.org/fhir/R4/binary.html"""

import base64
import binascii
from contextlib import suppress
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Invalid, Unavailable
from fhir_server.store.binaries import LARGEST_IN_ROW, Kept, pointer, without_data
from fhir_server.store.database import Transaction
from fhir_server.store.parts import Keeper, Rows, RowsOf, Sink, begin, drop

# Decoded so many characters at a time: flat memory, and whole bytes.
STEP = 4 * 262_144


async def moved_out(resource: dict[str, Any], transaction: Transaction, allowed: Kept | None) -> dict[str, Any]:
    """The Binary with its data kept in parts when they are large. Raises Invalid for data that are no base64, and for a
    reference to kept data other than `allowed`.
    """
    named = pointer(resource) if isinstance(resource.get("_data"), dict) else None
    if named is not None and named != allowed:
        raise Invalid("This Binary names data instead of holding them: read it by itself.", expression="Binary.data")
    if not is_large(resource):
        return resource
    keeper = Keeper(RowsOf(transaction))
    await _decode(resource["data"], keeper)
    return without_data(resource, await keeper.finish())


def is_large(resource: Any) -> bool:
    """Whether it is a Binary with more data than its row should hold."""
    data = resource.get("data") if isinstance(resource, dict) and resource.get("resourceType") == "Binary" else None
    return isinstance(data, str) and len(data) * 3 // 4 > LARGEST_IN_ROW


async def _decode(data: str, keeper: Keeper) -> None:
    """Raises Invalid."""
    text = "".join(data.split())
    try:
        for start in range(0, len(text), STEP):
            await keeper.add(binascii.a2b_base64(text[start : start + STEP], strict_mode=True))
    except binascii.Error:
        raise Invalid("The data are not base64.", expression="Binary.data") from None


class Upload:
    """Bytes on their way to where large ones lie, outside any transaction; what is not claimed is dropped."""

    def __init__(self, ctx: Context) -> None:
        self._node = ctx.node
        sink: Sink = ctx.node.objects or Rows(ctx.node.database)
        self._keeper = Keeper(sink, "objects" if ctx.node.objects else "database")
        self._begun = False
        self.claimed = False

    async def __aenter__(self) -> "Upload":
        """Nothing is kept before the first byte."""
        return self

    async def __aexit__(self, *failure: object) -> None:
        """Drop what no Binary has claimed; from a store that is away it goes with a later sweep."""
        if not self._begun or self.claimed:
            return
        with suppress(Unavailable):
            await drop(self._node.database, self._node.objects, self._keeper.key, self._keeper.place)

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self._keeper.size

    async def add(self, piece: bytes) -> None:
        """Take some bytes. Raises Unavailable."""
        await self._begin()
        await self._keeper.add(piece)

    async def take(self, resource: dict[str, Any]) -> tuple[dict[str, Any], Kept]:
        """Take the data of a resource; gives the resource without. Raises Invalid, Unavailable."""
        await self._begin()
        await _decode(resource["data"], self._keeper)
        kept = await self._keeper.finish()
        return without_data(resource, kept), kept

    async def finish(self) -> Kept:
        """Take the rest."""
        return await self._keeper.finish()

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await begin(self._node.database, self._keeper)


def binary_of(content: bytes | Kept, content_type: str, context: str | None) -> dict[str, Any]:
    """The resource for bytes that came as what they are."""
    resource: dict[str, Any] = {"resourceType": "Binary", "contentType": content_type}
    if context:
        resource["securityContext"] = {"reference": context}
    if isinstance(content, Kept):
        return without_data(resource, content)
    return resource | ({"data": base64.b64encode(content).decode()} if content else {})
