"""DICOM around the drawn pixels: patient, study, series and image attributes, files of Part 10.  PS3.3, PS3.5, PS3.10

Unique identifiers are numbers under 2.25 made from names by SHA-256: the same name always gives the same identifier.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

ISSUER = "STANNA"
ISSUER_OID = "2.25.277716905013562031716180212104857600001"
HOSPITAL = "St. Anna Hospital"
UTC_OFFSET = "-0500"


def uid(*names: object) -> str:
    """The identifier that belongs to a sequence of names."""
    digest = hashlib.sha256("/".join(map(str, ("konsil-sandbox", *names))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


@dataclass(frozen=True)
class OutsidePatient:
    """The patient as the outside hospital has registered them: its own number, its own spelling."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    character_set: str


@dataclass(frozen=True)
class Study:
    """One examination in the outside hospital."""

    key: str
    patient: OutsidePatient
    date: str
    time: str
    accession: str
    description: str
    body_part: str
    referring: str

    @property
    def study_instance_uid(self) -> str:
        """The study's identifier, from its key."""
        return uid(self.key)


@dataclass(frozen=True)
class Series:
    """One series of a study."""

    study: Study
    number: int
    modality: str
    description: str
    sop_class_uid: str
    equipment: tuple[str, str]

    @property
    def series_instance_uid(self) -> str:
        """The series' identifier, from the study's key and the number."""
        return uid(self.study.key, self.number)


def instance(series: Series, number: int) -> Dataset:
    """A data set with everything that is the same for all kinds of image."""
    ds = Dataset()
    study, patient = series.study, series.study.patient
    ds.SpecificCharacterSet = patient.character_set
    ds.SOPClassUID = series.sop_class_uid
    ds.SOPInstanceUID = uid(study.key, series.number, number)
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = study.date
    ds.StudyTime = study.time
    ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = later(study.time, 60 * series.number)
    ds.TimezoneOffsetFromUTC = UTC_OFFSET
    ds.AccessionNumber = study.accession
    ds.Modality, ds.SeriesDescription = series.modality, series.description
    ds.Manufacturer, ds.ManufacturerModelName = series.equipment
    ds.InstitutionName = HOSPITAL
    ds.ReferringPhysicianName = study.referring
    ds.StudyDescription = study.description
    registration(ds, patient)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.study_instance_uid, series.series_instance_uid
    ds.StudyID = study.accession[-4:]
    ds.SeriesNumber, ds.InstanceNumber = series.number, number
    ds.BodyPartExamined = study.body_part
    ds.PatientOrientation = ""
    return ds


def later(time: str, seconds: int) -> str:
    """A DICOM time some seconds after another on the same day."""
    total = int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:6]) + seconds
    return f"{total // 3600:02d}{total // 60 % 60:02d}{total % 60:02d}"


def registration(ds: Dataset, patient: OutsidePatient) -> None:
    """Who the outside hospital says this is; type 2 attributes may be empty.  PS3.3 C.7.1.1"""
    ds.PatientName, ds.PatientID = patient.name, patient.patient_id
    ds.IssuerOfPatientID = ISSUER
    qualifiers = Dataset()
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = ISSUER_OID, "ISO"
    ds.IssuerOfPatientIDQualifiersSequence = [qualifiers]
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date, patient.sex


def grey_pixels(ds: Dataset, pixels: NDArray[np.uint16], bits: int = 12) -> None:
    """One frame of unsigned grey pixels.  PS3.3 C.7.6.3"""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, 0
    ds.PixelData = pixels.astype("<u2").tobytes()


def jpeg_frames(ds: Dataset, frames: list[NDArray[np.uint8]], quality: int = 85) -> None:
    """Colour frames as lossy JPEG, encapsulated with a basic offset table.  PS3.5 8.2.1, A.4"""
    coded = []
    for frame in frames:
        out = io.BytesIO()
        Image.fromarray(frame).save(out, "JPEG", quality=quality, subsampling="4:2:2")
        coded.append(out.getvalue())
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    ds.Rows, ds.Columns = frames[0].shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.NumberOfFrames = len(frames)
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.LossyImageCompressionRatio = f"{sum(f.nbytes for f in frames) / sum(map(len, coded)):.2f}"
    ds.PixelData = encapsulate(coded)


def write(ds: Dataset, path: Path, compressed: bool = False) -> None:
    """Write a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation"))
    meta.ImplementationVersionName = "KONSIL_SANDBOX"
    ds.file_meta = meta
    if compressed:
        ds["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
