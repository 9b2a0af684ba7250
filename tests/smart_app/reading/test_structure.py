"""The headings that a re-read of images starts with."""

from typing import Any

import pytest

from smart_app.case.codes import own_system
from smart_app.case.material import Record
from smart_app.case.view import Case
from smart_app.reading.room import Room
from smart_app.reading.structure import OTHERWISE, structure_of


def room(product: str, *studies: tuple[str, str, str]) -> Room:
    """A case of a product, with these studies."""
    code = {"coding": [{"system": own_system("product"), "code": product}]}
    records = [Record(at, f"ImagingStudy/{at}", study(*each)) for at, each in enumerate(studies)]
    return Room(Case({}, {"code": code}, {}), records, {})


def study(modality: str, description: str, started: str) -> dict[str, Any]:
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:1.2.{started[:4]}"}],
        "modality": [{"code": modality}],
        "description": description,
        "started": started,
    }


CHEST, BRAIN = ("CT", "CT Chest with contrast", "2026-10-28"), ("MR", "MR brain", "2024-01-02")


@pytest.mark.parametrize(
    ("reread", "first"),
    [
        (room("imaging-reread", CHEST, BRAIN), "Lungs: "),
        (room("imaging-reread", BRAIN), "Parenchyma: "),
        (room("imaging-reread", ("DX", "Left wrist", "2026-01-01")), f"{OTHERWISE[0]}: "),
    ],
)
def test_the_newest_study_gives_the_headings(reread: Room, first: str) -> None:
    assert structure_of(reread)[0] == first


@pytest.mark.parametrize("reread", [room("written-opinion", CHEST), room("imaging-reread")])
def test_another_product_and_a_case_without_images_have_none(reread: Room) -> None:
    assert structure_of(reread) == []
