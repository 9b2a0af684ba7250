"""`Observation/$lastn`.  https://hl7.org/fhir/R4/observation-operation-lastn.html"""

from urllib.parse import quote, urlencode

from fhir_server.errors import Invalid
from fhir_server.interactions.bundle import bundle, match_entry
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.search.query import Chain, Clause, Condition, Query
from fhir_server.store.latest import latest

SUBJECTS = {"patient", "subject"}
CODED = {"category"}


async def run(call: Invocation) -> Document:
    """The newest `max` (default 1) observations of each code, by a search that names a patient and a category or code.

    Raises Invalid for a search without them, Forbidden.
    """
    most = call.parameters.number("max")
    if most == 0:
        raise Invalid("The parameter 'max' is a positive number.")
    pairs = [(name, str(value)) for name, value, _ in call.parameters.entries if name != "max"]
    query = call.ctx.node.parser.parse("Observation", pairs)
    _check(query)
    found = await latest(call.ctx.store, query, most or 1)
    asked = [*query.accepted, *([("max", str(most))] if most else [])]
    address = f"{call.address}/$lastn?{urlencode(asked, quote_via=quote, safe=',:|/')}"
    base = call.ctx.node.settings.fhir_url
    return bundle("searchset", [match_entry(base, one, "match") for one in found], [("self", address)], len(found))


def _check(query: Query) -> None:
    """Refuse a search that is about everybody or about everything, or says how to present matches."""
    if query.sort or query.includes or query.elements or query.cursor or query.summary != "false":
        raise Invalid("$lastn takes conditions; it orders and presents by its own rule.")
    codes = {_code(condition) for condition in query.conditions}
    if not codes & SUBJECTS:
        raise Invalid("$lastn needs a patient or subject.")
    if not any(code in CODED or code.startswith(("code", "combo-code", "component-code")) for code in codes):
        raise Invalid("$lastn needs a category or a code.")


def _code(condition: Condition) -> str:
    return condition.parameter.code if isinstance(condition, Clause | Chain) else ""


OPERATIONS = (OperationDefinition("lastn", run, ("Observation",)),)
