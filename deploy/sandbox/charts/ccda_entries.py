"""Entries of a C-CDA R2.1 document: what each section says once more for machines."""

import uuid
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from deploy.sandbox.charts.catalogue import ICD10, LOINC, RXNORM, SNOMED, TERMINOLOGY, Resource

XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
V3 = "{urn:hl7-org:v3}"
TEMPLATES = "2.16.840.1.113883.10.20.22"
CODE_SYSTEMS = {
    LOINC: ("2.16.840.1.113883.6.1", "LOINC"),
    SNOMED: ("2.16.840.1.113883.6.96", "SNOMED CT"),
    ICD10: ("2.16.840.1.113883.6.90", "ICD-10-CM"),
    RXNORM: ("2.16.840.1.113883.6.88", "RxNorm"),
    f"{TERMINOLOGY}/v3-ObservationInterpretation": ("2.16.840.1.113883.5.83", "ObservationInterpretation"),
}
ACT_CLASS = "2.16.840.1.113883.5.6"


def child(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    """A child in the CDA namespace."""
    made = SubElement(parent, f"{V3}{name}", attributes)
    made.text = text or None
    return made


def template(parent: Element, number: str, version: str = "") -> None:
    """A templateId below C-CDA's own root; a versioned one stands there twice, as receivers of R1.1 want it."""
    if version:
        child(parent, "templateId", root=f"{TEMPLATES}.{number}", extension=version)
    child(parent, "templateId", root=f"{TEMPLATES}.{number}")


def identity(parent: Element, *names: str) -> None:
    """An id that is the same each time."""
    child(parent, "id", root=str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(names))))


def stamp(value: str) -> str:
    """A FHIR date or dateTime as an HL7 v3 TS: `20261109160000-0500`."""
    day, _, time = value.partition("T")
    return day.replace("-", "") + (time[:8].replace(":", "") + time[8:].replace(":", "") if time else "")


def coded(parent: Element, name: str, value: Resource, refers: str = "", **attributes: str) -> Element:
    """A CodeableConcept as CD: the first coding, the others as translations; words alone get a null flavour."""
    codings = [each for each in value.get("coding", []) if each.get("system") in CODE_SYSTEMS]
    first: dict[str, str] = code_of(codings[0]) if codings else {"nullFlavor": "OTH"}
    made = child(parent, name, **attributes, **first)
    if refers:
        child(child(made, "originalText"), "reference", value=f"#{refers}")
    elif not codings:
        child(made, "originalText", str(value.get("text", "")))
    for each in codings[1:]:
        child(made, "translation", **code_of(each))
    return made


def code_of(coding: Resource) -> dict[str, str]:
    """Attributes of a CD."""
    oid, name = CODE_SYSTEMS[coding["system"]]
    known = {"code": coding["code"], "codeSystem": oid, "codeSystemName": name}
    return known | ({"displayName": coding["display"]} if "display" in coding else {})


def period(parent: Element, low: str, high: str = "", **attributes: str) -> None:
    """An effectiveTime with a beginning and, when it has ended, an end."""
    made = child(parent, "effectiveTime", **attributes)
    child(made, "low", value=stamp(low))
    if high:
        child(made, "high", value=stamp(high))


def observation(parent: Element, number: str, version: str, *names: str) -> Element:
    """An observation with its template and id."""
    made = child(parent, "observation", classCode="OBS", moodCode="EVN")
    template(made, number, version)
    identity(made, *names)
    return made


def concern(parent: Element, number: str, name: str, active: bool) -> Element:
    """The act that keeps track of a problem or an allergy."""
    act = child(child(parent, "entry", typeCode="DRIV"), "act", classCode="ACT", moodCode="EVN")
    template(act, number, "2015-08-01")
    identity(act, name, "concern")
    child(act, "code", code="CONC", codeSystem=ACT_CLASS)
    child(act, "statusCode", code="active" if active else "completed")
    return act


def reference(parent: Element, refers: str) -> None:
    """Where the narrative says it."""
    child(child(parent, "text"), "reference", value=f"#{refers}")


def problem(section: Element, condition: Resource, refers: str) -> None:
    """Problem Concern Act with its Problem Observation."""
    began, ended = condition["onsetDateTime"], condition.get("abatementDateTime", "")
    act = concern(section, "4.3", condition["id"], not ended)
    period(act, began, ended)
    made = observation(child(act, "entryRelationship", typeCode="SUBJ"), "4.4", "2015-08-01", condition["id"])
    code = child(made, "code", code="55607006", codeSystem=CODE_SYSTEMS[SNOMED][0], displayName="Problem")
    child(code, "translation", code="75326-9", codeSystem=CODE_SYSTEMS[LOINC][0], displayName="Problem")
    reference(made, refers)
    child(made, "statusCode", code="completed")
    period(made, began, ended)
    coded(made, "value", condition["code"], refers, **{f"{XSI}type": "CD"})


def allergy(section: Element, found: Resource, refers: str) -> None:
    """Allergy Concern Act with its observation, the substance and the reaction."""
    act = concern(section, "4.30", found["id"], active=True)
    period(act, found["recordedDate"])
    made = observation(child(act, "entryRelationship", typeCode="SUBJ"), "4.7", "2014-06-09", found["id"])
    child(made, "code", code="ASSERTION", codeSystem="2.16.840.1.113883.5.4")
    reference(made, refers)
    child(made, "statusCode", code="completed")
    period(made, found["recordedDate"])
    coded(made, "value", found["code"], refers, **{f"{XSI}type": "CD"})
    role = child(child(made, "participant", typeCode="CSM"), "participantRole", classCode="MANU")
    substance = child(child(role, "playingEntity", classCode="MMAT"), "code", nullFlavor="OTH")
    child(child(substance, "originalText"), "reference", value=f"#{refers}")
    for manifestation in found["reaction"][0]["manifestation"]:
        link = child(made, "entryRelationship", typeCode="MFST", inversionInd="true")
        effect = observation(link, "4.9", "2014-06-09", found["id"], "reaction")
        child(effect, "code", code="ASSERTION", codeSystem="2.16.840.1.113883.5.4")
        child(effect, "statusCode", code="completed")
        coded(effect, "value", manifestation, **{f"{XSI}type": "CD"})


def medication(section: Element, request: Resource, refers: str) -> None:
    """Medication Activity with its Medication Information."""
    entry = child(section, "entry", typeCode="DRIV")
    made = child(entry, "substanceAdministration", classCode="SBADM", moodCode="INT")
    template(made, "4.16", "2014-06-09")
    identity(made, request["id"])
    reference(made, refers)
    child(made, "statusCode", code="active" if request["status"] == "active" else "completed")
    period(made, request["authoredOn"], **{f"{XSI}type": "IVL_TS"})
    child(made, "doseQuantity", nullFlavor="NI")
    product = child(child(made, "consumable"), "manufacturedProduct", classCode="MANU")
    template(product, "4.23", "2014-06-09")
    coded(child(product, "manufacturedMaterial"), "code", request["medicationCodeableConcept"], refers)


def procedure(section: Element, done: Resource, refers: str) -> None:
    """Procedure Activity Procedure."""
    made = child(child(section, "entry", typeCode="DRIV"), "procedure", classCode="PROC", moodCode="EVN")
    template(made, "4.14", "2014-06-09")
    identity(made, done["id"])
    coded(made, "code", done["code"], refers)
    child(made, "statusCode", code="completed")
    child(made, "effectiveTime", value=stamp(done["performedDateTime"]))


def organizer(section: Element, number: str, version: str, head: tuple[str, str, str], when: str) -> Element:
    """A battery of results or a set of vital signs; `head` is code system, code and name."""
    entry = child(section, "entry", typeCode="DRIV")
    classes = {"4.1": "BATTERY", "4.26": "CLUSTER"}
    made = child(entry, "organizer", classCode=classes[number], moodCode="EVN")
    template(made, number, version)
    identity(made, section.findtext(f"{V3}title", ""), when, head[1])
    system, code, name = head
    child(made, "code", **code_of({"system": system, "code": code, "display": name}))
    child(made, "statusCode", code="completed")
    return made


def measurement(group: Element, number: str, version: str, found: Resource, refers: str) -> None:
    """One value: a laboratory result or a vital sign."""
    made = observation(child(group, "component"), number, version, found["id"])
    coded(made, "code", found["code"])
    reference(made, refers)
    child(made, "statusCode", code="completed")
    child(made, "effectiveTime", value=stamp(found["effectiveDateTime"]))
    quantity(made, "value", found["valueQuantity"], **{f"{XSI}type": "PQ"})
    for each in found.get("interpretation", []):
        coded(made, "interpretationCode", each)
    for each in found.get("referenceRange", []):
        span = child(child(made, "referenceRange"), "observationRange")
        value = child(span, "value", **{f"{XSI}type": "IVL_PQ"})
        for bound in ("low", "high"):
            if bound in each:
                quantity(value, bound, each[bound])


def quantity(parent: Element, name: str, value: dict[str, Any], **attributes: str) -> None:
    """A PQ."""
    child(parent, name, value=f"{value['value']:g}", unit=str(value["code"]), **attributes)
