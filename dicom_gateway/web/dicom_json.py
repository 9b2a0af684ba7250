"""The DICOM JSON Model of a data set, written so that one bad element spoils nothing.  PS3.18 Annex F

pydicom's own writer stops at the first value that its VR does not allow; headers out of other people's PACS are full
of such. Here a number that is none goes out as the string it is (F.2.3 allows strings for IS and DS), and an element
that cannot be read at all goes out empty.  Text is UTF-8, so a character set named in the header becomes ISO_IR 192.
"""

import base64
import math
import struct
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

BULK_BYTES = 4096
ROOT = "konsil-dicomweb-root:"
BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "OB/OW", "US or OW", "US or SS or OW"})
INTEGER_VRS = frozenset({"US", "SS", "UL", "SL", "SV", "UV", "IS", "US or SS"})
FLOAT_VRS = frozenset({"FL", "FD", "DS"})
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    struct.error,
    EOFError,
)

Element = dict[str, Any]
BulkUri = Callable[[str], str]


def instance_root(study: str, series: str, instance: str) -> str:
    """The path of an instance under the DICOMweb root; the root itself is put in when the metadata goes out."""
    return f"{ROOT}/studies/{study}/series/{series}/instances/{instance}"


def encode(ds: Dataset, root: str, prefix: str = "") -> dict[str, Element]:
    """Every element of `ds` but group 0002 and group lengths; large binary values as BulkDataURI under `root`."""
    model: dict[str, Element] = {}
    for tag in sorted(ds.keys()):
        number = int(tag)
        if number >> 16 == 0x0002 or number & 0xFFFF == 0:
            continue
        model[f"{number:08X}"] = encode_tag(ds, tag, root, prefix)
    if "00080005" in model:
        model["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return model


def encode_tag(ds: Dataset, tag: BaseTag, root: str, prefix: str) -> Element:
    """One element, empty when it cannot be read."""
    path = f"{prefix}{int(tag):08X}"
    try:
        element = ds[tag]
        if element.VR == "SQ":
            items = [encode(item, root, f"{path}/{number}/") for number, item in enumerate(element.value or [])]
            return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        return encode_element(element, f"{root}/bulkdata/{path}")
    except UNREADABLE:
        return raw_text(ds, tag)


def raw_text(ds: Dataset, tag: BaseTag) -> Element:
    """The bytes of a text element that its VR does not allow, as the string they are."""
    raw = ds.get_item(tag)
    vr = str(getattr(raw, "VR", None) or "UN")
    value = getattr(raw, "value", None)
    if vr in {"IS", "DS"} and isinstance(value, bytes):
        return {"vr": vr, "Value": [part.strip() for part in value.decode("latin-1").strip("\0 ").split("\\")]}
    return {"vr": vr if len(vr) == 2 else "UN"}


def encode_element(element: DataElement, bulk_uri: str) -> Element:
    """One element that is no sequence."""
    vr = str(element.VR)
    if vr in BINARY_VRS:
        return encode_binary(vr, element.value, bulk_uri)
    values = values_of(element.value)
    if not values:
        return {"vr": clean_vr(vr)}
    return {"vr": clean_vr(vr), "Value": [encode_value(vr, value) for value in values]}


def clean_vr(vr: str) -> str:
    """A VR of two letters where the dictionary leaves a choice open."""
    return {"US or SS": "US", "OB or OW": "OW", "OB/OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}.get(vr, vr)


def encode_binary(vr: str, value: Any, bulk_uri: str) -> Element:
    """A binary value inline when small, else by reference.  PS3.18 F.2.6, F.2.7"""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"vr": "US", "Value": [value]}
    if not value:
        return {"vr": clean_vr(vr)}
    if len(value) > BULK_BYTES:
        return {"vr": clean_vr(vr), "BulkDataURI": bulk_uri}
    return {"vr": clean_vr(vr), "InlineBinary": base64.b64encode(bytes(value)).decode("ascii")}


def values_of(value: Any) -> list[Any]:
    """The values of an element as a list; empty text is no value."""
    if value is None or value == "":
        return []
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [value]


def encode_value(vr: str, value: Any) -> Any:
    """One value in JSON's words.  PS3.18 Table F.2.3-1"""
    if vr == "PN":
        return person_name(value)
    if vr == "AT":
        return f"{int(value):08X}"
    if value is None or value == "":
        return None
    if vr in INTEGER_VRS:
        return int(value)
    if vr in FLOAT_VRS:
        number = float(value)
        return number if math.isfinite(number) else str(value)
    return str(value)


def person_name(value: PersonName | str) -> dict[str, str]:
    """A name by its component groups.  PS3.18 F.2.2"""
    groups = str(value).split("=")
    return {name: group for name, group in zip(GROUPS, groups, strict=False) if group}


def metadata(ds: Dataset, transfer_syntax: str, has_pixels: bool) -> bytes:
    """The metadata of one instance, as JSON bytes with `ROOT` where the DICOMweb root goes.  PS3.18 10.4.1.1.2"""
    root = instance_root(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID))
    model = encode(ds, root)
    model["00083002"] = {"vr": "UI", "Value": [transfer_syntax]}
    if has_pixels and not PIXEL_TAGS & {int(tag, 16) for tag in model}:
        model["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{root}/bulkdata/7FE00010"}
    return orjson.dumps(dict(sorted(model.items())))


def with_root(metadata_bytes: bytes, root: str) -> bytes:
    """Stored metadata as it goes out under this DICOMweb root."""
    return metadata_bytes.replace(ROOT.encode(), root.encode())


def json_array(items: Iterable[bytes]) -> bytes:
    """An array of models that are already bytes."""
    return b"[" + b",".join(items) + b"]"
