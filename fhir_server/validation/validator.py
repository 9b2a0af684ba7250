"""Validation of resources: R4's own rules, the profiles they claim, and those that the server asks for.

https://hl7.org/fhir/R4/validation.html. Everything is compiled from the definitions when it is first needed and kept
until a definition changes. All problems come at once, each with its place as FHIRPath.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.conformance.canonicals import Canonicals, split
from fhir_server.definitions import Definitions
from fhir_server.errors import Issue
from fhir_server.fhirpath import Node, Services
from fhir_server.terminology.membership import Terminology
from fhir_server.validation.extensions import Extensions
from fhir_server.validation.invariants import answered
from fhir_server.validation.item import Item
from fhir_server.validation.profiles import ProfileCheck, ProfileCompiler, Rules
from fhir_server.validation.report import UNREADABLE, Report
from fhir_server.validation.tree import Trees
from fhir_server.validation.types import BASE, Owner, Types

MAX_PROFILES_DEPTH = 40
BASIC = UNREADABLE | {"required"}


class Validator:
    """Checks resources; one for each node. Synchronous and without a database."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self.definitions = definitions
        self.terminology = terminology
        self.canonicals: Canonicals = terminology.canonicals
        self.types = Types(self)
        self.services = Services(
            resolve=self._resolve, member_of=answered(self._member_of), conforms_to=answered(self._conforms_to)
        )
        self._walk = ProfileCheck(definitions)
        self._generation = -1
        self._renew()

    def validate(
        self, resource: Any, profiles: Sequence[str] = (), *, thorough: bool = False, shallow: bool = False
    ) -> list[Issue]:
        """Every problem of a resource, against R4, the profiles that it claims and those that are named.

        `thorough` adds warnings and what could not be checked; `shallow` tells only of structure and what is required.
        What has no type gives one problem.
        """
        self._renew()
        report = Report(self.services, thorough, broken=shallow)
        self.check_resource(resource, "", report)
        if not report.broken and not shallow:
            node = (resource["resourceType"], resource)
            before = report.enter(node)
            for canonical in profiles:
                self.check_profile(canonical, node, node[0], report)
            report.leave(before)
        return [issue for issue in report.issues if issue.code in BASIC] if shallow else report.issues

    def check_resource(self, value: Any, place: str, report: Report) -> None:
        """A resource, the whole one or one inside another, with the profiles that it claims."""
        type_ = value.get("resourceType") if isinstance(value, dict) else None
        if not isinstance(type_, str) or type_ not in self.definitions.resource_types:
            report.error("structure", "This has no resourceType of R4.", place or "Resource")
            return
        place = place or type_
        before = report.enter((type_, value))
        self.types.check(self.types.rules(type_), value, place, report)
        meta = value.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        for canonical in claimed if isinstance(claimed, list) else ():
            if isinstance(canonical, str) and not report.broken:
                self.check_profile(canonical, (type_, value), place, report)
        report.leave(before)

    def check_profile(self, canonical: str, node: Node, place: str, report: Report) -> None:
        """A value against a profile; one that is not known here is told, not held against the resource."""
        if report.depth > MAX_PROFILES_DEPTH:
            return
        found = self._compiled(canonical)
        if found is None:
            if not self._is_base(canonical):
                report.warning("not-found", f"The profile {canonical[:200]} is not known here.", place)
            return
        type_, rules = found
        before, report.profile = report.profile, canonical
        report.depth += 1
        if node[0] != type_ and type_ in self.definitions.resource_types:
            report.error("value", f"This profile is for {type_}, not for {node[0]}.", place)
        else:
            self._walk.check(rules, Item(node[0], node[1], place), report)
        report.depth -= 1
        report.profile = before

    def check_extension(self, value: dict[str, Any], owner: Owner, place: str, report: Report) -> None:
        """An extension against its definition."""
        self._extensions.check(value, owner, place, report)

    def knows(self, canonical: str) -> bool:
        """Whether a profile is known here, or a type of R4."""
        self._renew()
        return self._compiled(canonical) is not None or self._is_base(canonical)

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile is about; None for one that is not known here."""
        self._renew()
        found = self._compiled(canonical)
        return None if found is None else found[0]

    def _is_base(self, canonical: str) -> bool:
        name = split(canonical)[0].removeprefix(BASE)
        return name in self.definitions.resource_types or name in self.definitions.structures

    def _renew(self) -> None:
        """Drop what was compiled from definitions that have changed."""
        if self._generation != self.canonicals.generation:
            self._generation = self.canonicals.generation
            self._trees = Trees(self.canonicals, self.definitions)
            self._profiles: dict[str, tuple[str, Rules] | None] = {}
            self._extensions = Extensions(self)

    def _compiled(self, canonical: str) -> tuple[str, Rules] | None:
        if canonical not in self._profiles:
            self._profiles[canonical] = self._compile(self.canonicals.resolve(canonical, "StructureDefinition"))
        return self._profiles[canonical]

    def _compile(self, definition: Mapping[str, Any] | None) -> tuple[str, Rules] | None:
        if definition is None or definition.get("derivation") != "constraint":
            return None
        type_ = str(definition["type"])
        return type_, ProfileCompiler(self).compile(self._trees.tree(definition), type_)

    def _resolve(self, address: str) -> dict[str, Any] | None:
        return None

    def _member_of(self, value_set: str, node: Node) -> bool | None:
        value = node[1]
        if isinstance(value, str):
            return self.terminology.is_member(value_set, None, value)
        codings = value.get("coding", [value]) if isinstance(value, dict) else []
        answers = [self.terminology.is_member(value_set, one.get("system"), str(one.get("code"))) for one in codings]
        return True if True in answers else None if None in answers else False

    def _conforms_to(self, canonical: str, node: Node) -> bool | None:
        type_ = split(canonical)[0].removeprefix(BASE)
        if type_ in self.definitions.resource_types:
            return node[0] == type_
        if not self.knows(canonical):
            return None
        report = Report(self.services)
        report.enter(node)
        self.check_profile(canonical, node, node[0], report)
        return not report.failed
