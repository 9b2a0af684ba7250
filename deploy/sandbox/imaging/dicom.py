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
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

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


def place(ds: Dataset, orientation: list[int], corner: list[float], pixel: float) -> None:
    """The image plane in the patient.  PS3.3 C.7.6.2"""
    ds.ImageOrientationPatient = orientation
    ds.ImagePositionPatient = [round(value, 4) for value in corner]
    ds.PixelSpacing = [round(pixel, 6), round(pixel, 6)]
    ds.PositionReferenceIndicator = ""


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


def colour_pixels(ds: Dataset, pixels: NDArray[np.uint8]) -> None:
    """One frame of RGB.  PS3.3 C.7.6.3"""
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = pixels.tobytes()


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """One coded term.  PS3.3 8.8"""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def pdf_document(study: Study, title: str, content: bytes) -> Dataset:
    """A report as Encapsulated PDF.  PS3.3 A.45.1, C.24.2"""
    series = Series(study, 1, "DOC", title, EncapsulatedPDFStorage, ("Konsil Sandbox", "Reporting"))
    ds = instance(series, 1)
    ds.ConversionType, ds.BurnedInAnnotation = "WSD", "YES"
    ds.AcquisitionDateTime = study.date + study.time
    ds.DocumentTitle = title
    ds.ConceptNameCodeSequence = [code("18748-4", "LN", "Diagnostic imaging study")]
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    ds.EncapsulatedDocumentLength = len(content)
    return ds


def write(ds: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write a Part 10 file; native pixels are compressed first when the syntax is a lossless one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation"))
    meta.ImplementationVersionName = "KONSIL_SANDBOX"
    ds.file_meta = meta
    if syntax == JPEGBaseline8Bit:
        meta.TransferSyntaxUID = syntax
        ds["PixelData"].is_undefined_length = True
    elif syntax.is_compressed:
        ds.compress(syntax, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
