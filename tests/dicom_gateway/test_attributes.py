"""Attributes read the short way are what pydicom reads, whatever the file."""

from pathlib import Path

import pytest
from pydicom.datadict import dictionary_keyword

from dicom_gateway import attributes
from dicom_gateway.attributes import IMAGE, PATIENT, SERIES, STUDY, read_header, text, to_json
from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.part10 import read_meta
from tests.dicom_gateway.objects import TESTFILES

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


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
    for path in sorted(Path(TESTFILES).glob("*.dcm")):
        file = path.read_bytes()
        try:
            meta = read_meta(file)
            quick = everything(file[meta.offset :], meta.transfer_syntax_uid)
        except CannotUnderstand:
            continue
        with monkeypatch.context() as patched:
            patched.setattr(attributes, "_plain", lambda ds, keyword: None)
            assert quick == everything(file[meta.offset :], meta.transfer_syntax_uid), path.name
        compared += 1
    assert compared > 60
