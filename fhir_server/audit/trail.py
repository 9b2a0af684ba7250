"""What one request leaves behind: where it came from, what it was shown, what it wrote."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.audit.event import Happening, Origin, audit_event
from fhir_server.store.audit import JournalRow, journal_row
from fhir_server.store.repository import Version

SENSITIVE = (b"CodeSystem/v3-Confidentiality", b"CodeSystem/v3-ActCode")


@dataclass(slots=True)
class Trail:
    """Collects while a request runs. `interaction`: what a Bundle turned out to be; `query`: a question in a body."""

    origin: Origin
    seen: dict[str, str | None] = field(default_factory=dict)
    interaction: str | None = None
    query: str | None = None
    sensitive: bool = False

    def show(self, versions: Iterable[Version]) -> None:
        """Note what the caller is shown: each resource, and whose it is."""
        for version in versions:
            patient = version.resource_id if version.resource_type == "Patient" else version.patient
            self.seen[version.reference] = patient
            if not self.sensitive and version.content is not None and any(s in version.content for s in SENSITIVE):
                self.sensitive = True

    def wrote(self, version: Version) -> JournalRow:
        """The row of a write, for its own transaction. An AuditEvent that others send is an event itself."""
        if version.resource_type == "AuditEvent" and version.content is not None:
            return journal_row(version.resource_id, version.content)
        patient = version.resource_id if version.resource_type == "Patient" else version.patient
        happening = Happening(version.interaction, version.last_updated, version.reference)
        return journal_row(*audit_event(self.origin, happening, patient))

    def rows(self, happening: Happening, patient: str | None = None) -> list[JournalRow]:
        """The rows of something that was read or refused: one for each patient that it showed something of, else one,
        about the patient who was asked for.
        """
        shown = dict.fromkeys(each for each in self.seen.values() if each) or (patient,)
        return [journal_row(*audit_event(self.origin, happening, each)) for each in shown]
