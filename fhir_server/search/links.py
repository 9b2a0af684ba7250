"""How far the chains of a search go.  https://hl7.org/fhir/R4/search.html#chaining"""

from dataclasses import dataclass

from fhir_server.errors import Invalid

MAX_LINKS = 16
MAX_ALTERNATIVES = 64
MAX_TRIED = 1000


@dataclass(slots=True)
class Links:
    """How far chains go: what would join everything is refused before any database is asked."""

    depth: int = 0
    tried: int = 0
    kept: int = 0
    above: "Links | None" = None

    @property
    def top(self) -> "Links":
        """Where the chain begins: it counts for all of it."""
        return self.above or self

    def deeper(self) -> "Links":
        """One link more. Raises Invalid."""
        top = self.top
        if self.depth >= MAX_LINKS:
            raise Invalid(f"A chain may have {MAX_LINKS} links.")
        if top.tried > MAX_TRIED or top.kept > MAX_ALTERNATIVES:
            raise Invalid("The chain leads to too many types: name them, as in subject:Patient.name.")
        return Links(self.depth + 1, above=top)
