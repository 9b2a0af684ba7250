"""What validation finds: all of it at once, each problem with its place.  https://hl7.org/fhir/R4/validation.html"""

from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import Issue
from fhir_server.fhirpath import Node, Services, Surroundings

# A resource with such problems cannot be read by anybody; it is never stored, whatever the policy.
UNREADABLE = frozenset({"structure"})
MOST_PROBLEMS = 500


@dataclass(slots=True)
class Report:
    """The problems of one resource, and where the check stands.

    `thorough`: warnings and hints too (`$validate`); else only errors. `profile`: the profile being checked, None for
    R4 itself. `path`: the definition of the object being checked (`Patient.name`). `broken`: the structure is wrong, so
    that invariants have nothing to stand on.
    """

    services: Services
    thorough: bool = False
    profile: str | None = None
    issues: list[Issue] = field(default_factory=list)
    around: Surroundings = field(default_factory=Surroundings)
    root: Node = ("", None)
    depth: int = 0
    broken: bool = False
    path: str = ""

    def error(self, code: str, text: str, place: str) -> None:
        """A problem; `code` is of the value set issue-type."""
        self.broken |= code in UNREADABLE
        self._add("error", code, text, place)

    def warning(self, code: str, text: str, place: str) -> None:
        """Something that may be meant."""
        if self.thorough:
            self._add("warning", code, text, place)

    def hint(self, code: str, text: str, place: str) -> None:
        """What could not be checked, or could be better."""
        if self.thorough:
            self._add("information", code, text, place)

    def _add(self, severity: str, code: str, text: str, place: str) -> None:
        if len(self.issues) < MOST_PROBLEMS:
            issue = Issue(severity, code, text, place, self.profile)
            if issue not in self.issues:
                self.issues.append(issue)

    def enter(self, node: Node) -> Surroundings:
        """Begin with a resource (the whole, a contained one, an entry's); gives what `leave` wants."""
        before = self.around
        if self.root[1] is None:
            self.root = node
        self.around = Surroundings(node, self.root, None, self.services)
        return before

    def leave(self, before: Surroundings) -> None:
        """Go back to the resource around."""
        self.around = before

    def aside(self) -> "Report":
        """An empty report at the same place, to find out whether something conforms."""
        return Report(self.services, False, self.profile, [], self.around, self.root, self.depth)

    @property
    def failed(self) -> bool:
        """Whether there are errors."""
        return any(issue.severity == "error" for issue in self.issues)


def quoted(value: Any) -> str:
    """A code or number as it may stand in a message; of longer text only its kind, since it may be about a patient."""
    text = str(value)
    return f"'{text}'" if len(text) <= 40 else "this text"
