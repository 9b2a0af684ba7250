"""A structured report, key object selection or segmentation in plain text, for people who have no viewer open.
PS3.3 C.17.3, C.8.20
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_gateway.attributes import UNREADABLE, text

MOST_LINES = 500
MOST_LEVELS = 20


def title_of(ds: Dataset) -> str:
    """What the object calls itself: the title of its content, its series, or its label."""
    written = meaning(ds, "ConceptNameCodeSequence")
    return text(ds, "DocumentTitle") or text(ds, "SeriesDescription") or written or text(ds, "ContentLabel") or "Report"


def lines_of(ds: Dataset) -> list[str]:
    """What it says, a line each item; an item without a value heads those below it."""
    found = [*content(ds, 0), *segments(ds)]
    return found[:MOST_LINES]


def content(ds: Dataset, level: int) -> Iterator[str]:
    """The content items below one, indented.  PS3.3 C.17.3.2"""
    for item in items(ds, "ContentSequence") if level < MOST_LEVELS else ():
        name, value = meaning(item, "ConceptNameCodeSequence"), value_of(item)
        if name and (value or items(item, "ContentSequence")):
            yield f"{'  ' * level}{name}: {value}".rstrip() if value else f"{'  ' * level}{name}"
        yield from content(item, level + 1)


def segments(ds: Dataset) -> Iterator[str]:
    """What a segmentation shows.  PS3.3 C.8.20.4"""
    for item in items(ds, "SegmentSequence"):
        kind = meaning(item, "SegmentedPropertyTypeCodeSequence")
        label = text(item, "SegmentLabel") or kind or "Segment"
        yield f"{label} ({kind})" if kind and kind != label else label


def value_of(item: Dataset) -> str:
    """The value of one content item in words, empty for images and places in them.  PS3.3 Table C.17-3"""
    kind = text(item, "ValueType")
    if kind == "NUM":
        measured = next(iter(items(item, "MeasuredValueSequence")), Dataset())
        return f"{text(measured, 'NumericValue')} {unit(measured)}".strip()
    if kind == "CODE":
        return meaning(item, "ConceptCodeSequence")
    names = {"TEXT": "TextValue", "PNAME": "PersonName", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime"}
    return text(item, names[kind]).replace("\r\n", "\n").strip() if kind in names else ""


def unit(measured: Dataset) -> str:
    """The unit of a number as UCUM writes it, nothing for a plain number."""
    code = next(iter(items(measured, "MeasurementUnitsCodeSequence")), Dataset())
    written = text(code, "CodeValue")
    return "" if written in {"1", "{ratio}"} else written


def meaning(ds: Dataset, keyword: str) -> str:
    """The words of a coded entry."""
    return text(next(iter(items(ds, keyword)), Dataset()), "CodeMeaning")


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none for what does not decode."""
    try:
        return list(ds.get(keyword) or ())
    except UNREADABLE:
        return []
