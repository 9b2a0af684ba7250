"""Read one version.  https://hl7.org/fhir/R4/http.html#vread"""

from fhir_server.context import Context
from fhir_server.errors import NotFound
from fhir_server.store.repository import Repository, Version

LARGEST = 2**31 - 1


async def vread(ctx: Context, identity: tuple[str, str], version_id: str, store: Repository | None = None) -> Version:
    """Read one version of one resource. Raises NotFound, Gone, Forbidden."""
    if not version_id.isascii() or not version_id.isdigit() or not 0 < int(version_id) <= LARGEST:
        raise NotFound(f"{'/'.join(identity)} has no version {version_id[:20]}.")
    return await (store or ctx.store).vread(*identity, int(version_id))
