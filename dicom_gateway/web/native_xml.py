"""The Native DICOM Model in XML, made from the DICOM JSON Model.  PS3.19 A.1, PS3.18 8.7.3.2"""

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from pydicom.datadict import dictionary_has_tag, keyword_for_tag

from dicom_gateway.web import multipart
from dicom_gateway.web.dicom_json import GROUPS
from dicom_gateway.web.multipart import Part

XML = "application/dicom+xml"
NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# What XML 1.0 cannot hold: control characters of text that some senders leave in.
FORBIDDEN = {number: None for number in range(32) if number not in {9, 10, 13}}

Model = dict[str, dict[str, Any]]


def document(model: Model) -> bytes:
    """One data set as an XML document."""
    root = ElementTree.Element("NativeDicomModel", {"xmlns": NAMESPACE, "xml:space": "preserve"})
    fill(root, model)
    text: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text


def fill(parent: ElementTree.Element, model: Model) -> None:
    """Every attribute of a data set or item."""
    for tag, element in sorted(model.items()):
        node = ElementTree.SubElement(parent, "DicomAttribute", names(model, tag, element["vr"]))
        if "BulkDataURI" in element:
            ElementTree.SubElement(node, "BulkData", {"uri": element["BulkDataURI"]})
        elif "InlineBinary" in element:
            ElementTree.SubElement(node, "InlineBinary").text = element["InlineBinary"]
        for number, value in enumerate(element.get("Value", ()), start=1):
            add_value(node, str(number), element["vr"], value)


def names(model: Model, tag: str, vr: str) -> dict[str, str]:
    """Tag, VR and keyword; a private attribute by its creator, its block left out.  PS3.19 Table A.1.5-2"""
    group, element = int(tag[:4], 16), tag[4:]
    if group % 2 and element >= "1000":
        creator = model.get(f"{tag[:4]}00{element[:2]}", {}).get("Value", [""])[0]
        return {"tag": f"{tag[:4]}00{element[2:]}", "vr": vr, "privateCreator": clean(creator)}
    keyword = keyword_for_tag(int(tag, 16)) if dictionary_has_tag(int(tag, 16)) else ""
    return {"tag": tag, "vr": vr} | ({"keyword": keyword} if keyword else {})


def add_value(node: ElementTree.Element, number: str, vr: str, value: Any) -> None:
    """One value: an item, a name by its components, or text; a missing one keeps its place."""
    if vr == "SQ":
        fill(ElementTree.SubElement(node, "Item", {"number": number}), value)
    elif vr == "PN":
        name = ElementTree.SubElement(node, "PersonName", {"number": number})
        for group in GROUPS:
            if value and value.get(group):
                add_group(ElementTree.SubElement(name, group), value[group])
    else:
        ElementTree.SubElement(node, "Value", {"number": number}).text = "" if value is None else clean(value)


def add_group(node: ElementTree.Element, group: str) -> None:
    """The components of one group of a name."""
    for name, text in zip(COMPONENTS, group.split("^"), strict=False):
        if text:
            ElementTree.SubElement(node, name).text = clean(text)


def clean(value: object) -> str:
    """The text of a value, without what XML cannot hold."""
    return str(value).translate(FORBIDDEN)


def body(models: Iterable[Model], boundary: str) -> Iterator[bytes]:
    """A multipart body, a data set a part.  PS3.18 8.6.1.2"""
    return multipart.write((Part({"Content-Type": XML}, [document(model)]) for model in models), boundary)
