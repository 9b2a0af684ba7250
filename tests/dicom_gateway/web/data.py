"""Data sets for the web tests: pydicom's own files, and small made ones."""

import io
from functools import cache

import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_gateway.gateway import Gateway
from dicom_gateway.ingest import Incoming, Source

CT = "1.2.840.10008.5.1.4.1.1.2"


def part10(ds: Dataset) -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def stock(name: str) -> bytes:
    """One of pydicom's files, as it is."""
    path = get_testdata_file(name)
    assert isinstance(path, str)
    with open(path, "rb") as stream:
        return stream.read()


@cache
def renamed(name: str) -> bytes:
    """One of pydicom's files under UIDs that no other file has: some of them share theirs."""
    ds = dcmread(io.BytesIO(stock(name)))
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (generate_uid() for _ in range(3))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return part10(ds)


def put(gateway: Gateway, *files: bytes, **source: str) -> list[Dataset]:
    """Take files in and index them; gives their headers."""
    for file in files:
        gateway.ingest.accept(Incoming.from_file(file, Source(**source)))
    gateway.ingest.replay()
    return [dcmread(io.BytesIO(file), stop_before_pixels=True) for file in files]


def slices(count: int, rows: int = 16, **attributes: object) -> list[bytes]:
    """A CT series of small slices, one file each, with different pixels."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    return [part10(one_slice(number, rows, (study, series, frame), attributes)) for number in range(1, count + 1)]


def one_slice(number: int, rows: int, uids: tuple[str, str, str], attributes: dict[str, object]) -> Dataset:
    """One axial slice."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CT
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uids
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = "Okafor^Amara", "A-17", "STANNA"
    ds.PatientBirthDate, ds.PatientSex = "19710304", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20250102", "101500", "ACC1"
    ds.StudyID, ds.StudyDescription, ds.SeriesDescription = "1", "CT chest", "axial"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 1, number
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, number * 2.0], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1.0, 1.0], 2.0
    ds.Rows = ds.Columns = rows
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.WindowCenter, ds.WindowWidth = -1024, 1, 40, 400
    ds.PixelData = (np.arange(rows * rows, dtype="<i2") + number).tobytes()
    for keyword, value in attributes.items():
        if keyword == "private":
            add_private(ds)
        else:
            setattr(ds, keyword, value)
    return ds


def add_private(ds: Dataset) -> None:
    """A private block with two attributes."""
    block = ds.private_block(0x0029, "KONSIL TESTS", create=True)
    block.add_new(1, "LO", "a private word")
    block.add_new(2, "FD", 2.5)
