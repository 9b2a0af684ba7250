"""Attributes read the short way are what pydicom reads, whatever the file."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_keyword
from pydicom.dataset import Dataset

from dicom_gateway import attributes, header
from dicom_gateway.attributes import IMAGE, PATIENT, SERIES, STUDY, issuer, read_header, text, to_json
from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.part10 import read_meta
from tests.dicom_gateway.objects import data_sets_of_pydicom, file_of, slice_of
from tests.dicom_gateway.test_upper_layer_fuzz import LITTLE, mutated

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


Reader = Callable[[bytes, str], Dataset]


def indexed(content: bytes, syntax: str, read: Reader) -> list[object] | None:
    """All that the index takes of a data set; None for one that does not decode."""
    try:
        ds = read(content, syntax)
    except CannotUnderstand:
        return None
    levels = [to_json(ds, level) for level in (PATIENT, STUDY, SERIES, IMAGE)]
    again = read(content, syntax)
    return [*levels, issuer(ds), *(text(again, name) for name in (*PATIENT, *STUDY, *SERIES, *IMAGE))]


def test_the_scan_finds_what_pydicom_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, decoded = 0, 0

    def count(content: bytes, syntax: str) -> Dataset:
        nonlocal decoded
        decoded += 1
        return read_header(content, syntax)

    monkeypatch.setattr(header, "read_header", count)
    for name, content, syntax in data_sets_of_pydicom():
        assert indexed(content, syntax, header.read_indexed) == indexed(content, syntax, read_header), name
        compared += 1
    assert compared > 60
    assert decoded < compared / 2, "most is read without pydicom"


def nested() -> bytes:
    """Sequences of undefined and of defined length, one in another, before and among what is wanted."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = [inner, inner]
    ds = slice_of(
        "1.2.3", "1.2.3.4", 1, side=4, ReferencedImageSequence=[outer], SourceImageSequence=[outer, Dataset()]
    )
    ds["ReferencedImageSequence"].is_undefined_length = True
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    file = file_of(ds)
    return file[read_meta(file).offset :]


NESTED = nested()


def test_sequences_of_undefined_length_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\xfe\xff\xdd\xe0" in NESTED
    expected = indexed(NESTED, LITTLE, read_header)
    monkeypatch.setattr(header, "read_header", None)
    assert indexed(NESTED, LITTLE, header.read_indexed) == expected


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_what_is_damaged_is_read_as_pydicom_does(seed: int) -> None:
    content = mutated(random.Random(seed), NESTED)
    assert indexed(content, LITTLE, header.read_indexed) == indexed(content, LITTLE, read_header)


def everything(content: bytes, syntax: str) -> tuple[list[object], dict[str, str]]:
    """All that the index takes, and every attribute of the header as text; each read anew."""
    levels: list[object] = [to_json(read_header(content, syntax), level) for level in (PATIENT, STUDY, SERIES, IMAGE)]
    ds, names = read_header(content, syntax), []
    for tag in ds:
        try:
            names.append(dictionary_keyword(tag.tag))
        except KeyError:
            continue
    again = read_header(content, syntax)
    return levels, {name: text(again, name) for name in names if name}


def test_every_file_reads_alike_by_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    for name, content, syntax in data_sets_of_pydicom():
        try:
            quick = everything(content, syntax)
        except CannotUnderstand:
            continue
        with monkeypatch.context() as patched:
            patched.setattr(attributes, "_plain", lambda ds, keyword: None)
            patched.setattr(attributes, "_quick_json", lambda ds, keyword: None)
            assert quick == everything(content, syntax), name
        compared += 1
    assert compared > 60
