"""Extensions: known or not, where they may stand, what they may hold.  https://hl7.org/fhir/R4/extensibility.html"""

from collections.abc import Mapping
from typing import Any

from fhir_server.fhirpath import ExpressionError, compile_expression
from fhir_server.fhirpath.model import NOT_DOMAIN, ancestors
from fhir_server.validation.report import Report
from fhir_server.validation.types import Further, Owner

OWN_OF_R4 = "http://hl7.org/fhir/StructureDefinition/"
INSIDE = "Extension"
# R4 uses these of its own extensions where their definitions do not allow them.
ELSEWHERE = {
    f"{OWN_OF_R4}structuredefinition-fhir-type": "ElementDefinition.type",
    f"{OWN_OF_R4}structuredefinition-normative-version": "Element",
    f"{OWN_OF_R4}regex": "ElementDefinition.type",
}


class Extensions:
    """Checks extensions against their definitions."""

    def __init__(self, further: Further) -> None:
        self.further = further
        self._known: dict[str, Mapping[str, Any] | None] = {}

    def check(self, value: dict[str, Any], owner: Owner, place: str, report: Report) -> None:
        """One extension of an element; those inside another extension are its definition's business."""
        url = value.get("url")
        if not isinstance(url, str) or (owner.path.partition(".")[0] == INSIDE and ":" not in url):
            return
        definition = self._definition(url)
        if definition is None:
            self._unknown(url, owner, place, report)
            return
        self._context(definition, owner, place, report)
        if bool(_modifies(definition)) != owner.modifies:
            kind = "modifierExtension" if not owner.modifies else "extension"
            report.error("extension", f"{url} stands under {kind}.", place)
        self.further.check_profile(url, ("Extension", value), place, report)

    def _definition(self, url: str) -> Mapping[str, Any] | None:
        if url not in self._known:
            found = self.further.canonicals.resolve(url, "StructureDefinition")
            self._known[url] = found if found and found.get("type") == INSIDE else None
        return self._known[url]

    def _unknown(self, url: str, owner: Owner, place: str, report: Report) -> None:
        if url.startswith(OWN_OF_R4) and not url.endswith("-extension"):
            report.error("extension", f"R4 has no extension {url[:200]}.", place)
        elif owner.modifies:
            report.warning("extension", f"The modifier extension {url[:200]} is not known here.", place)
        else:
            report.hint("extension", f"The extension {url[:200]} is not known here.", place)

    def _context(self, definition: Mapping[str, Any], owner: Owner, place: str, report: Report) -> None:
        contexts = definition.get("context", ())
        if ELSEWHERE.get(definition["url"]) in self._places(owner, report):
            return
        if contexts and not any(self._fits(one, owner, report) for one in contexts):
            report.error("extension", f"{definition['url']} may not stand here.", place)

    def _fits(self, context: Mapping[str, Any], owner: Owner, report: Report) -> bool:
        expression = str(context.get("expression"))
        if context.get("type") == "element":
            return expression in self._places(owner, report)
        if context.get("type") == "extension":
            return owner.path.partition(".")[0] == INSIDE
        try:
            resource = report.around.resource
            found = compile_expression(expression, self.further.definitions)
            return resource is None or bool(found(resource, report.around))
        except ExpressionError:
            return True

    def _places(self, owner: Owner, report: Report) -> set[str]:
        """Every name that the element goes by: its path, where that stands, its type and what that derives from."""
        places = {owner.path, owner.path.replace("[x]", ""), report.path, *ancestors(owner.type), "Element"}
        if owner.path in self.further.definitions.resource_types:
            places |= {"Resource", "DomainResource"} - ({"DomainResource"} if owner.path in NOT_DOMAIN else set())
        return places


def _modifies(definition: Mapping[str, Any]) -> bool:
    elements = definition.get("snapshot", definition.get("differential", {})).get("element", ())
    return bool(elements and elements[0].get("isModifier"))
