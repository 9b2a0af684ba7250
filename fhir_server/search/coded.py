"""Tokens by value set and by hierarchy, as the codes that they stand for.  https://hl7.org/fhir/R4/search.html#token"""

from fhir_server.errors import Invalid, Unprocessable
from fhir_server.search.query import TokenValue
from fhir_server.search.readers import token_text
from fhir_server.terminology.expansion import codes
from fhir_server.terminology.membership import Terminology

MOST_CODES = 10_000
BY_SET = ("in", "not-in")
BY_HIERARCHY = ("above", "below")


def tokens(terminology: Terminology | None, modifier: str, text: str, *, literal: bool) -> tuple[TokenValue, ...]:
    """The codes of `:in` and `:not-in` (a value set's canonical URL), `:above` and `:below` (`system|code`).

    Raises Invalid where the code system is not loaded, or there are too many codes to search for.
    """
    if terminology is None:
        raise Invalid(f"The modifier :{modifier} needs a terminology.")
    try:
        found = _of_set(terminology, text) if modifier in BY_SET else _of_hierarchy(terminology, modifier, text)
    except Unprocessable as error:
        raise Invalid(f":{modifier} cannot be answered here: {error.diagnostics}") from None
    if len(found) > MOST_CODES:
        raise Invalid(f":{modifier} means {len(found)} codes; at most {MOST_CODES} can be searched for.")
    return tuple(TokenValue(system, token_text(code, literal=literal)) for system, code in sorted(found))


def _of_set(terminology: Terminology, canonical: str) -> set[tuple[str, str]]:
    if terminology.value_set(canonical) is None:
        raise Invalid(f"The value set {canonical[:200]} is not known here; name it by its canonical URL.")
    return {(system, code) for system, code in codes(terminology, canonical)}


def _of_hierarchy(terminology: Terminology, modifier: str, text: str) -> set[tuple[str, str]]:
    system, bar, code = text.partition("|")
    if not (system and bar and code):
        raise Invalid(f":{modifier} is written system|code.")
    found = terminology.above(system, code) if modifier == "above" else terminology.below(system, code)
    if found is None:
        raise Invalid(f"The code system {system[:200]} is not loaded here.")
    return {(system, other) for other in found}
