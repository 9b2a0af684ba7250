"""Whether what a resource refers to is there, where the server asks for it.  https://hl7.org/fhir/R4/http.html#integrity"""

from collections.abc import Iterable

from fhir_server.context import Context
from fhir_server.errors import Issue, Unprocessable
from fhir_server.interactions.references import references
from fhir_server.search.readers import LOCAL_REFERENCE
from fhir_server.store.database import Transaction
from fhir_server.store.repository import Repository
from fhir_server.store.rows import Write


async def check_targets(ctx: Context, transaction: Transaction, writes: Iterable[Write]) -> None:
    """Every local reference of what was written leads to a resource that the caller may see, all of this transaction
    among them; references by another server's address, by identifier or inside the resource are not asked for.

    Raises Unprocessable, naming each that leads nowhere.
    """
    wanted = {target for write in writes if write.resource is not None for target in _targets(ctx, write)}
    store = Repository(transaction, ctx.grants, ctx.node.registry, ctx.node.numbers)
    found = {(version.resource_type, version.resource_id) for version in await store.many(wanted)}
    missing = sorted(wanted - found)
    if missing:
        issues = [Issue("error", "not-found", f"There is no {'/'.join(target)} to refer to.") for target in missing]
        error = Unprocessable(issues[0].diagnostics)
        error.issues = issues
        raise error


def _targets(ctx: Context, write: Write) -> Iterable[tuple[str, str]]:
    base = f"{ctx.node.settings.fhir_url}/"
    for text in references(write.resource):
        match = LOCAL_REFERENCE.match(text.removeprefix(base))
        if match and match[1] in ctx.node.definitions.resource_types:
            yield match[1], match[2]
