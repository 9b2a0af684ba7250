"""Rule 3: what patients may do to a Consent of theirs: withdraw it.  https://hl7.org/fhir/R4/consent.html#6.2.3"""

from fhir_server.access.consent import rules_of
from fhir_server.rules.change import Change, Resource, View, unless
from fhir_server.rules.material import patient_of

KEPT_BY_SERVER = frozenset({"versionId", "lastUpdated", "source"})


def check(view: View) -> None:
    """A patient sets `status` from active to inactive, changes nothing beside it, and only of what releases something.

    A denial is not theirs to lift here: that would show more than before.  Raises Unprocessable.
    """
    for change in view.of_type("Consent"):
        if change.old is not None and view.caller.fhir_user == patient_of(change.old):
            _check_withdrawal(change, change.old)


def _check_withdrawal(change: Change, old: Resource) -> None:
    found, new = rules_of(old), change.new or {}
    releases = found is not None and found.releases and found.provision.permits
    unless(releases, 3, "a patient withdraws a Consent that is active and releases something")
    same = _content(old) == _content(new | {"status": old["status"]})
    unless(same and new.get("status") == "inactive", 3, "a patient withdraws a Consent and changes nothing else of it")


def _content(consent: Resource) -> Resource:
    """A Consent without what the server says of each version; its labels count."""
    meta = {name: value for name, value in consent.get("meta", {}).items() if name not in KEPT_BY_SERVER}
    return {**consent, "meta": meta}
