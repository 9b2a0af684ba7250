"""What one request leaves behind: where it came from, what it was shown, what it wrote."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.audit.batch import Noted
from fhir_server.audit.chain import digest, put_down
from fhir_server.audit.event import Happening, Origin, audit_event
from fhir_server.store.audit import JournalRow, journal_row
from fhir_server.store.repository import Version

CONFIDENTIALITY, ACT_CODE = b"CodeSystem/v3-Confidentiality", b"CodeSystem/v3-ActCode"


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
            if version.content is not None and (CONFIDENTIALITY in version.content or ACT_CODE in version.content):
                self.sensitive = True

    def wrote(self, version: Version) -> JournalRow:
        """The row of a write, for its own transaction. An AuditEvent that others send is an event itself."""
        if version.resource_type == "AuditEvent" and version.content is not None:
            event = put_down(version.content)
            return journal_row(version.resource_id, event, digest(event))
        patient = version.resource_id if version.resource_type == "Patient" else version.patient
        happening = Happening(version.interaction, version.last_updated, version.reference)
        return event_row(self.origin, happening, patient)

    def noted(self, happening: Happening, patient: str | None = None) -> Noted:
        """Something that was read or refused: an event for each patient that it showed something of, else one, about
        the patient who was asked for.
        """
        shown = tuple(dict.fromkeys(filter(None, self.seen.values()))) or (patient,)
        return self.origin, happening, shown


def event_row(origin: Origin, happening: Happening, patient: str | None) -> JournalRow:
    """The row of an event about this patient."""
    event_id, content = audit_event(origin, happening, patient)
    return journal_row(event_id, content, digest(content))
