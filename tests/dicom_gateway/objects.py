"""DICOM objects for tests: small CT slices made here, and the files that pydicom ships."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.part10 import read_meta

TESTFILES = Path(str(get_testdata_file("CT_small.dcm"))).parent


def data_sets_of_pydicom() -> Iterator[tuple[str, bytes, str]]:
    """Name, data set and transfer syntax of each test file of pydicom whose meta group can be read."""
    for path in sorted(TESTFILES.glob("*.dcm")):
        file = path.read_bytes()
        try:
            meta = read_meta(file)
        except CannotUnderstand:
            continue
        yield path.name, file[meta.offset :], meta.transfer_syntax_uid


def slice_of(
    study: str, series: str, number: int, *, uid: str | None = None, side: int = 64, **attributes: object
) -> Dataset:
    """One slice; `attributes` go over what it would have."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = MRImageStorage if attributes.get("Modality") == "MR" else CTImageStorage
    ds.SOPInstanceUID = uid or generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName, ds.PatientID = "Muster^Anna", "X-4711"
    ds.PatientBirthDate, ds.PatientSex = "19710203", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20240517", "101500", "A-1", "1"
    ds.StudyDescription, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT chest", "CT", 1, number
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = side
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    pixels = np.random.default_rng(number).integers(0, 4096, (side, side), dtype=np.uint16)
    ds.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def file_of(ds: Dataset) -> bytes:
    """The DICOM file of a data set."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def write_study(folder: Path, counts: Sequence[int], **attributes: object) -> tuple[str, list[Path]]:
    """Write a study with so many slices a series; its UID and the files."""
    folder.mkdir(parents=True, exist_ok=True)
    study, files = generate_uid(), []
    for series_number, count in enumerate(counts, 1):
        series = generate_uid()
        for number in range(1, count + 1):
            ds = slice_of(study, series, number, **{"SeriesNumber": series_number, **attributes})
            path = folder / f"{series_number}-{number:04d}.dcm"
            path.write_bytes(file_of(ds))
            files.append(path)
    return study, files
