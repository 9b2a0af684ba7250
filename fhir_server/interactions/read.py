"""Read the current version.  https://hl7.org/fhir/R4/http.html#read"""

from fhir_server.context import Context
from fhir_server.interactions.provenance import read_automatic
from fhir_server.store.repository import Version


async def read(ctx: Context, resource_type: str, resource_id: str) -> Version:
    """Read one resource. Raises NotFound, Gone, Forbidden."""
    made = await read_automatic(ctx, resource_id) if resource_type == "Provenance" else None
    return made or await ctx.store.read(resource_type, resource_id)
