"""Mammograms and breast ultrasound in DICOM."""

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    UltrasoundImageStorage,
)

from deploy.sandbox.imaging import breast, breast_ultrasound
from deploy.sandbox.imaging.breast import Breast, View
from deploy.sandbox.imaging.catalogue import BREAST_ULTRASOUND, MAMMOGRAM, MAMMOGRAM_OF_ANOTHER
from deploy.sandbox.imaging.dicom import Series, Study, code, grey_pixels, instance, jpeg_frames, uid, write


def views(study: Study, drawing: Breast, sick: bool, folder: Path, keep_every: int) -> None:
    """The four views of a mammogram; smaller ones when slices are left out."""
    kind = DigitalMammographyXRayImageStorageForPresentation
    step = 1 if keep_every == 1 else 4
    for number, view in enumerate(breast.VIEWS, start=1):
        series = Series(study, number, "MG", view.name, kind, ("Konsil Sandbox", "Phantom MG"))
        ds = instance(series, 1)
        positioned(ds, view)
        exposed(ds, step)
        grey_pixels(ds, drawing.draw(replace(view, lesion=sick and view.left), step))
        write(ds, folder / f"{number}.dcm", JPEGLSLossless)


def positioned(ds: Dataset, view: View) -> None:
    """Side, view and which way the picture lies.  PS3.3 C.8.11.7, CID 4014"""
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageLaterality = "L" if view.left else "R"
    ds.ViewPosition = "MLO" if view.oblique else "CC"
    ahead = "A" if view.left else "P"
    down = "F" if view.oblique else "R" if view.left else "L"
    ds.PatientOrientation = [ahead, down]
    term = (
        code("399368009", "SCT", "medio-lateral oblique") if view.oblique else code("399162004", "SCT", "cranio-caudal")
    )
    term.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = [term]
    ds.AnatomicRegionSequence = [code("76752008", "SCT", "Breast")]
    ds.OrganExposed, ds.PositionerType = "BREAST", "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = (45 if view.left else -45) if view.oblique else 0


def exposed(ds: Dataset, step: int) -> None:
    """How it was taken and how it is shown.  PS3.3 C.8.11.3"""
    ds.KVP, ds.ExposureTime, ds.XRayTubeCurrent, ds.BodyPartThickness, ds.CompressionForce = 29, 900, 100, 54, 92
    ds.DetectorType, ds.DetectorID = "DIRECT", "KS-MG-1"
    ds.ImagerPixelSpacing = [breast.PIXEL * step] * 2
    ds.BurnedInAnnotation = "NO"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape, ds.LossyImageCompression = "IDENTITY", "00"
    ds.WindowCenter, ds.WindowWidth = 1800, 3400
    ds.AcquisitionContextSequence = Sequence()


def mammogram(folder: Path, keep_every: int) -> None:
    """Dense breasts with the tumour on the left."""
    views(MAMMOGRAM, Breast(21, 0.55), True, folder, keep_every)


def mammogram_of_another(folder: Path, keep_every: int) -> None:
    """Another woman's: older, fatty, nothing to see."""
    views(MAMMOGRAM_OF_ANOTHER, Breast(22, 0.05), False, folder, keep_every)


def breast_stills(folder: Path, keep_every: int) -> None:
    """The mass in two planes."""
    series = Series(
        BREAST_ULTRASOUND, 1, "US", "Left breast 2:00", UltrasoundImageStorage, ("Konsil Sandbox", "Phantom US")
    )
    for number, along in ((1, False), (2, True)):
        ds = instance(series, number)
        ds.ImageType = ["ORIGINAL", "PRIMARY"]
        ds.FrameOfReferenceUID = uid(BREAST_ULTRASOUND.key, number, "frame")
        ds.PositionReferenceIndicator = ""
        ds.SequenceOfUltrasoundRegions = [region()]
        ds.Laterality = "L"
        jpeg_frames(ds, [breast_ultrasound.still(3, along)], 92)
        del ds.NumberOfFrames
        write(ds, folder / f"{number}.dcm", JPEGBaseline8Bit)


def region() -> Dataset:
    """The picture's scale.  PS3.3 C.8.5.5"""
    left, top = breast_ultrasound.LEFT, breast_ultrasound.TOP
    ds = Dataset()
    ds.RegionSpatialFormat, ds.RegionDataType, ds.RegionFlags = 1, 1, 0
    ds.RegionLocationMinX0, ds.RegionLocationMinY0 = left, top
    ds.RegionLocationMaxX1, ds.RegionLocationMaxY1 = left + breast_ultrasound.WIDE, top + breast_ultrasound.DEEP
    ds.PhysicalUnitsXDirection = ds.PhysicalUnitsYDirection = 3
    ds.PhysicalDeltaX = ds.PhysicalDeltaY = breast_ultrasound.MILLIMETRES / 10
    return ds
