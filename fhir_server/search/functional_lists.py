"""`_list=$current-problems` and its kind: lists that are conditions.  https://hl7.org/fhir/R4/lifecycle.html#lists"""

from fhir_server.errors import Invalid

Conditions = tuple[tuple[str, str], ...]

NOT_WRONG = ("verification-status:not", "entered-in-error,refuted")
ALLERGIES: Conditions = (("clinical-status", "active"), NOT_WRONG)
LISTS: dict[str, dict[str, Conditions]] = {
    "$current-problems": {
        "Condition": (
            ("category", "problem-list-item"),
            ("clinical-status", "active,recurrence,relapse"),
            NOT_WRONG,
        )
    },
    "$current-medications": {
        "MedicationRequest": (("status", "active"), ("intent", "order,original-order,reflex-order,filler-order,plan")),
        "MedicationStatement": (("status", "active"),),
    },
    "$current-allergies": {"AllergyIntolerance": ALLERGIES},
    "$current-drug-allergies": {"AllergyIntolerance": (*ALLERGIES, ("category", "medication"))},
}


def functional_list(types: tuple[str, ...], name: str) -> Conditions:
    """What a resource of the type meets when it is on the list. Raises Invalid."""
    if name not in LISTS:
        raise Invalid(f"'{name[:40]}' is none of the functional lists {', '.join(sorted(LISTS))}.")
    if len(types) != 1 or types[0] not in LISTS[name]:
        raise Invalid(f"{name} is a list of {' and '.join(LISTS[name])}.")
    return LISTS[name][types[0]]
