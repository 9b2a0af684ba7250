"""A chart as a C-CDA R2.1 Continuity of Care Document: header, narrative for people, entries for machines.

http://www.hl7.org/ccdasearch/templates/2.16.840.1.113883.10.20.22.1.2.html
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from xml.etree.ElementTree import Element, indent, register_namespace, tostring

from deploy.sandbox import people
from deploy.sandbox.charts import ccda_entries as entries
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource
from deploy.sandbox.charts.ccda_entries import V3, child, stamp, template
from deploy.sandbox.charts.chart import WRITTEN, Chart
from deploy.sandbox.hospitals import Hospital

CONTENT_TYPES = {"epic": "text/xml", "oracle": "application/xml"}
"""How each hospital calls C-CDA; receivers meet both, and `application/cda+xml`."""
FORMAT = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-HL7DocumentFormatCodes",
    "code": "urn:hl7-org:sdwg:ccda-structuredBody:2.1",
}
PANELS = 4
"""How many of the newest laboratory dates a summary repeats."""
NPI_OID = "2.16.840.1.113883.4.6"
GENDERS = {"female": ("F", "Female"), "male": ("M", "Male")}
Row = Sequence[str]

register_namespace("", "urn:hl7-org:v3")
register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")


def attach(made: Chart, hospital: Hospital, date: str, reason: str) -> None:
    """Put the chart's summary among its documents, as the hospital would send it."""
    data = summary(made, hospital, date, reason)
    made.document("summary", "Continuity of care document", date, CONTENT_TYPES[hospital.key], data)
    made.resources[-1]["content"][0]["format"] = FORMAT


def summary(made: Chart, hospital: Hospital, date: str, reason: str) -> bytes:
    """The chart up to a day as a CCD; `reason` is why the patient is referred."""
    known = [each for each in made.resources if moment(each)[:10] <= date]
    patient = next(each for each in known if each["resourceType"] == "Patient")
    root = Element(f"{V3}ClinicalDocument")
    header(root, patient, hospital, f"{date}T16:30:00-05:00")
    people_of(root, made, hospital, f"{date}T16:30:00-05:00")
    body = child(child(root, "component"), "structuredBody")
    words(body, ("1.3.6.1.4.1.19376.1.5.3.1.3.1", "42349-1", "Reason for Referral"), reason)
    allergies(body, of_type(known, "AllergyIntolerance"))
    medications(body, of_type(known, "MedicationRequest"))
    problems(body, of_type(known, "Condition"))
    procedures(body, of_type(known, "Procedure"))
    observations = of_type(known, "Observation")
    results(body, [each for each in observations if in_category(each, "laboratory")])
    vital_signs(body, [each for each in observations if in_category(each, "vital-signs")])
    indent(root, " ")
    return b"<?xml version='1.0' encoding='UTF-8'?>\n" + tostring(root, encoding="unicode").encode()


def moment(resource: Resource) -> str:
    """When it happened; empty for what has no date, so that it is always known."""
    names = ("effectiveDateTime", "authoredOn", "onsetDateTime", "performedDateTime", "date")
    return str(next((resource[name] for name in names if name in resource), ""))


def of_type(known: Iterable[Resource], kind: str) -> list[Resource]:
    """All of one type."""
    return [each for each in known if each["resourceType"] == kind]


def in_category(resource: Resource, code: str) -> bool:
    """Whether an Observation is of a category."""
    return any(coding["code"] == code for each in resource["category"] for coding in each["coding"])


def header(root: Element, patient: Resource, hospital: Hospital, when: str) -> None:
    """The US Realm Header up to the patient."""
    child(root, "realmCode", code="US")
    child(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    template(root, "1.1", "2015-08-01")
    template(root, "1.2", "2015-08-01")
    child(root, "id", root=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{hospital.organization}/{patient['id']}/{when}")))
    oid, name = entries.CODE_SYSTEMS[LOINC]
    child(
        root,
        "code",
        code="34133-9",
        codeSystem=oid,
        codeSystemName=name,
        displayName="Summary of episode note",
    )
    child(root, "title", "Continuity of Care Document")
    child(root, "effectiveTime", value=stamp(when))
    child(root, "confidentialityCode", code="N", codeSystem="2.16.840.1.113883.5.25", displayName="Normal")
    child(root, "languageCode", code="en-US")
    record_target(root, patient)


def record_target(root: Element, patient: Resource) -> None:
    """Whom the document is about."""
    role = child(child(root, "recordTarget"), "patientRole")
    for number in patient["identifier"]:
        child(role, "id", root=oid_of(number["system"]), extension=number["value"])
    for home in patient["address"]:
        where = child(role, "addr", use="HP")
        child(where, "streetAddressLine", home["line"][0])
        for part, key in (("city", "city"), ("state", "state"), ("postalCode", "postalCode"), ("country", "country")):
            child(where, part, home[key])
    for phone in patient["telecom"]:
        child(role, "telecom", use="HP", value=f"tel:{phone['value'].replace(' ', '-')}")
    person = child(role, "patient")
    for name in patient["name"]:
        person_name(person, name)
    code, shown = GENDERS[patient["gender"]]
    child(person, "administrativeGenderCode", code=code, codeSystem="2.16.840.1.113883.5.1", displayName=shown)
    child(person, "birthTime", value=stamp(patient["birthDate"]))
    for spoken in patient["communication"]:
        language = child(person, "languageCommunication")
        child(language, "languageCode", code=spoken["language"]["coding"][0]["code"])
        child(language, "preferenceInd", value=str(spoken.get("preferred", False)).lower())


def person_name(person: Element, name: Resource) -> None:
    """A name with its use: legal, in ideographs, or another."""
    codes = [each.get("valueCode", "") for each in name.get("extension", [])]
    use = "IDE" if "IDE" in codes else {"official": "L", "maiden": "P", "usual": "P"}[name["use"]]
    made = child(person, "name", use=use)
    for given in name["given"]:
        child(made, "given", given)
    child(made, "family", name["family"], **({"qualifier": "BR"} if name["use"] == "maiden" else {}))


def people_of(root: Element, made: Chart, hospital: Hospital, when: str) -> None:
    """Author, custodian, legal authenticator."""
    author = next(each for each in people.REQUESTERS[hospital.key] if each.username == made.author.id)
    written = child(root, "author")
    child(written, "time", value=stamp(when))
    assigned(child(written, "assignedAuthor"), author)
    kept = child(child(child(root, "custodian"), "assignedCustodian"), "representedCustodianOrganization")
    child(kept, "id", root=oid_of(hospital.mrn_system))
    child(kept, "name", hospital.title)
    child(kept, "telecom", use="WP", value="tel:+1-555-0100")
    where = child(kept, "addr", use="WP")
    child(where, "streetAddressLine", "1 Hospital Way")
    child(where, "country", "US")
    signed = child(root, "legalAuthenticator")
    child(signed, "time", value=stamp(when))
    child(signed, "signatureCode", code="S")
    assigned(child(signed, "assignedEntity"), author)


def assigned(parent: Element, who: people.Person) -> None:
    """A physician with number and specialty in words."""
    child(parent, "id", root=NPI_OID, extension=who.npi)
    where = child(parent, "addr", use="WP")
    child(where, "streetAddressLine", "1 Hospital Way")
    child(where, "country", "US")
    child(parent, "telecom", use="WP", value="tel:+1-555-0100")
    made = child(child(parent, "assignedPerson"), "name")
    child(made, "prefix", who.prefix)
    child(made, "given", who.given)
    child(made, "family", who.family)


def oid_of(system: str) -> str:
    """An OID for a system that has none of its own: 2.25 and the UUID of its address."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, system).int}"


def section(body: Element, number: str, version: str, code: str, title: str) -> Element:
    """A section with its template, LOINC code and title."""
    made = child(child(body, "component"), "section")
    if number.startswith("2."):
        template(made, number, version)
    else:
        child(made, "templateId", root=number)
    oid, name = entries.CODE_SYSTEMS[LOINC]
    child(made, "code", code=code, codeSystem=oid, codeSystemName=name)
    child(made, "title", title)
    return made


def words(body: Element, head: tuple[str, str, str], text: str) -> None:
    """A section of words alone."""
    number, code, title = head
    told = child(section(body, number, "", code, title), "text")
    for paragraph in text.split("\n\n"):
        child(told, "paragraph", " ".join(paragraph.split()))


def table(made: Element, heads: Row, rows: Sequence[tuple[str, Row]]) -> None:
    """The narrative as a table; each row's first cell carries the id that entries refer to."""
    drawn = child(child(made, "text"), "table", border="1", width="100%")
    line = child(child(drawn, "thead"), "tr")
    for head in heads:
        child(line, "th", head)
    body = child(drawn, "tbody")
    for name, cells in rows:
        line = child(body, "tr")
        child(child(line, "td"), "content", cells[0], ID=name)
        for cell in cells[1:]:
            child(line, "td", cell)


def listed(
    made: Element,
    heads: Row,
    found: Sequence[Resource],
    row: Callable[[Resource], Row],
    entry: Callable[[Element, Resource, str], None],
) -> None:
    """A table with a row and an entry for each resource."""
    table(made, heads, [(each["id"], row(each)) for each in found])
    for each in found:
        entry(made, each, each["id"])


def us_date(value: str) -> str:
    """`11/09/2026`."""
    year, month, day = value[:10].split("-")
    return f"{month}/{day}/{year}"


def allergies(body: Element, found: Sequence[Resource]) -> None:
    """Allergies and intolerances."""
    made = section(body, "2.6.1", "2015-08-01", "48765-2", "Allergies and Intolerances")

    def row(each: Resource) -> Row:
        reaction = each["reaction"][0]
        return (each["code"]["text"], reaction["manifestation"][0]["text"], reaction["severity"], each["criticality"])

    listed(made, ("Substance", "Reaction", "Severity", "Criticality"), found, row, entries.allergy)


def medications(body: Element, found: Sequence[Resource]) -> None:
    """Medications, those that ended too."""
    made = section(body, "2.1.1", "2014-06-09", "10160-0", "Medications")

    def row(each: Resource) -> Row:
        text = each["medicationCodeableConcept"]["text"]
        return (text, each["dosageInstruction"][0]["text"], us_date(each["authoredOn"]), each["status"])

    listed(made, ("Medication", "Directions", "Since", "Status"), found, row, entries.medication)


def problems(body: Element, found: Sequence[Resource]) -> None:
    """Problem list."""
    made = section(body, "2.5.1", "2015-08-01", "11450-4", "Problems")

    def row(each: Resource) -> Row:
        suspected = each["verificationStatus"]["coding"][0]["code"] == "provisional"
        status = "suspected" if suspected else each["clinicalStatus"]["coding"][0]["code"]
        return (each["code"]["text"], us_date(each["onsetDateTime"]), status)

    listed(made, ("Problem", "Since", "Status"), found, row, entries.problem)


def procedures(body: Element, found: Sequence[Resource]) -> None:
    """What was done."""
    made = section(body, "2.7.1", "2014-06-09", "47519-4", "Procedures")

    def row(each: Resource) -> Row:
        return (each["code"]["text"], us_date(each["performedDateTime"]), each["note"][0]["text"])

    listed(made, ("Procedure", "Date", "Note"), found, row, entries.procedure)


def results(body: Element, found: Sequence[Resource]) -> None:
    """The newest laboratory dates side by side; a value outside its range is marked."""
    dates = sorted({each["effectiveDateTime"] for each in found})[-PANELS:]
    recent = [each for each in found if each["effectiveDateTime"] in dates]
    made = section(body, "2.3.1", "2015-08-01", "30954-2", "Results")
    names = list(dict.fromkeys(each["code"]["text"] for each in recent))
    by_place = {(each["code"]["text"], each["effectiveDateTime"]): each for each in recent}
    rows = [
        (f"result-{at}", (name, *(value_of(by_place.get((name, when))) for when in dates)))
        for at, name in enumerate(names)
    ]
    table(made, ("Test", *(us_date(each) for each in dates)), rows)
    for when in dates:
        head = (LOINC, "26436-6", "Laboratory studies (set)")
        group = entries.organizer(made, "4.1", "2015-08-01", head, when)
        for at, name in enumerate(names):
            if (name, when) in by_place:
                entries.measurement(group, "4.2", "2015-08-01", by_place[name, when], f"result-{at}")


def value_of(found: Resource | None) -> str:
    """`11.7 g/dL L`."""
    if found is None:
        return ""
    quantity = found["valueQuantity"]
    flag = found.get("interpretation", [{"coding": [{"code": "N"}]}])[0]["coding"][0]["code"]
    unit = WRITTEN.get(quantity["code"], quantity["unit"])
    return f"{quantity['value']:g} {unit}{'' if flag == 'N' else f' ({flag})'}"


def vital_signs(body: Element, found: Sequence[Resource]) -> None:
    """Vital signs of the newest visit; blood pressure as two values."""
    when = max((each["effectiveDateTime"] for each in found), default="")
    newest = [part for each in found if each["effectiveDateTime"] == when for part in parts_of(each)]
    made = section(body, "2.4.1", "2015-08-01", "8716-3", "Vital Signs")
    rows = [(each["id"], (each["code"]["text"], value_of(each), us_date(when))) for each in newest]
    table(made, ("Vital sign", "Value", "Date"), rows)
    if newest:
        group = entries.organizer(made, "4.26", "2015-08-01", (SNOMED, "46680005", "Vital signs"), when)
        for each in newest:
            entries.measurement(group, "4.27", "2014-06-09", each, each["id"])


def parts_of(found: Resource) -> list[Resource]:
    """An Observation, or its components as observations of their own."""
    if "component" not in found:
        return [found]
    return [
        {**found, **each, "id": f"{found['id']}-{each['code']['coding'][0]['code']}"} for each in found["component"]
    ]
