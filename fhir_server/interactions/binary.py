"""Binaries on their way into the store: what is large goes out of the row.  https://hl7.org/fhir/R4/binary.html"""

import base64
import binascii
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Invalid
from fhir_server.store.binaries import LARGEST_IN_ROW, Keeper, Kept, forget_keys, pointer, without_data
from fhir_server.store.database import Transaction

# Decoded so many characters at a time: flat memory, and whole bytes.
STEP = 4 * 262_144


async def moved_out(resource: dict[str, Any], transaction: Transaction, allowed: Kept | None) -> dict[str, Any]:
    """The Binary with its data kept in parts when they are large. Raises Invalid for data that are no base64, and for a
    reference to kept data other than `allowed`.
    """
    named = pointer(resource) if isinstance(resource.get("_data"), dict) else None
    if named is not None and named != allowed:
        raise Invalid("This Binary names data instead of holding them: read it by itself.", expression="Binary.data")
    data = resource.get("data")
    if not isinstance(data, str) or len(data) * 3 // 4 <= LARGEST_IN_ROW:
        return resource
    keeper, text = Keeper(transaction), "".join(data.split())
    try:
        for start in range(0, len(text), STEP):
            await keeper.add(binascii.a2b_base64(text[start : start + STEP], strict_mode=True))
    except binascii.Error:
        raise Invalid("The data are not base64.", expression="Binary.data") from None
    return without_data(resource, await keeper.finish())


async def forget_upload(ctx: Context, key: str) -> None:
    """Take back what was kept for a Binary that was then refused."""
    async with ctx.node.database.transaction() as transaction:
        await forget_keys(transaction, [key])


def binary_of(content: bytes | Kept, content_type: str, context: str | None) -> dict[str, Any]:
    """The resource for bytes that came as what they are."""
    resource: dict[str, Any] = {"resourceType": "Binary", "contentType": content_type}
    if context:
        resource["securityContext"] = {"reference": context}
    if isinstance(content, Kept):
        return without_data(resource, content)
    return resource | ({"data": base64.b64encode(content).decode()} if content else {})
