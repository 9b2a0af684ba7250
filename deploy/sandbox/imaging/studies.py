"""The prior examinations in the outside hospital's archive: who, what, when, and how each is drawn and written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from deploy.sandbox.imaging import brain, echo, radiograph, thorax
from deploy.sandbox.imaging.catalogue import CT_CHEST, ECHO, FILM, MR_BRAIN
from deploy.sandbox.imaging.dicom import Series, grey_pixels, instance, jpeg_frames, uid, write

VERSION = 3
Progress = Callable[[str], None]


def generate(directory: Path, progress: Progress, keep_every: int = 1) -> list[Path]:
    """Write all studies under `directory` and return their files; a finished study is not written twice.

    `keep_every` leaves slices and frames out (tests take one of fifteen).  A study counts as finished once its
    `done.json` names this VERSION and `keep_every`: an interrupted run starts that study over.
    """
    makers = {CT_CHEST: ct_chest, FILM: film, MR_BRAIN: mr_brain, ECHO: ultrasound}
    finished = {"version": VERSION, "keep_every": keep_every}
    for study, make in makers.items():
        folder = directory / study.key
        mark = folder / "done.json"
        if not (mark.exists() and json.loads(mark.read_text()) == finished):
            progress(f"drawing {study.description} ({study.key})")
            shutil.rmtree(folder, ignore_errors=True)
            make(folder, keep_every)
            mark.write_text(json.dumps(finished))
    return sorted(directory.glob("*/*.dcm"))


def place(ds: Dataset, orientation: list[int], corner: list[float], pixel: float) -> None:
    """The image plane in the patient.  PS3.3 C.7.6.2"""
    ds.ImageOrientationPatient = orientation
    ds.ImagePositionPatient = [round(value, 4) for value in corner]
    ds.PixelSpacing = [round(pixel, 6), round(pixel, 6)]
    ds.PositionReferenceIndicator = ""


def ct_chest(folder: Path, keep_every: int) -> None:
    """300 axial slices of a millimetre, head first."""
    series = Series(CT_CHEST, 2, "CT", "Thorax 1.0 Br40 +C", CTImageStorage, ("Konsil Sandbox", "Phantom CT 1"))
    pixel = thorax.FIELD_OF_VIEW / thorax.SIZE
    corner = -(thorax.SIZE - 1) / 2 * pixel
    drawing = thorax.Thorax(7)
    for number, z in list(enumerate(reversed(thorax.HEIGHTS), start=1))[::keep_every]:
        ds = instance(series, number)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.FrameOfReferenceUID = uid(CT_CHEST.key, "frame")
        ds.PatientPosition, ds.AcquisitionNumber = "HFS", 1
        ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime, ds.ConvolutionKernel = 120, 210, 500, "Br40"
        ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Iohexol 350", "IV"
        ds.SliceThickness, ds.SliceLocation = 1.0, z
        place(ds, [1, 0, 0, 0, 1, 0], [corner, corner, z], pixel)
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = [40, -550], [400, 1500]
        ds.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
        grey_pixels(ds, np.clip(np.rint(drawing.slice(z) + 1024), 0, 4095).astype(np.uint16))
        write(ds, folder / f"{number:04d}.dcm")


MR_SERIES = (
    (2, "AX T1", brain.T1, "axial", (500, 9)),
    (3, "AX T2", brain.T2, "axial", (4500, 102)),
    (4, "AX FLAIR", brain.FLAIR, "axial", (9000, 125)),
    (5, "SAG T1", brain.T1, "sagittal", (520, 9)),
    (6, "AX T1 +C", brain.T1_CONTRAST, "axial", (500, 9)),
)


def mr_brain(folder: Path, keep_every: int) -> None:
    """Five series of one head: four axial of 26 slices, one sagittal of 27."""
    drawing = brain.Brain(11)
    for number, name, kind, plane, times in MR_SERIES:
        series = Series(MR_BRAIN, number, "MR", name, MRImageStorage, ("Konsil Sandbox", "Phantom MR 3T"))
        places = [62.0 - 5 * n for n in range(26)] if plane == "axial" else [-65.0 + 5 * n + 0.5 for n in range(27)]
        for index, at in list(enumerate(places, start=1))[::keep_every]:
            ds = instance(series, index)
            mr_attributes(ds, kind, times, number)
            mr_plane(ds, plane, at)
            image = drawing.axial(at, kind) if plane == "axial" else drawing.sagittal(at, kind)
            grey_pixels(ds, np.rint(image).astype(np.uint16))
            write(ds, folder / f"{number}-{index:03d}.dcm")


def mr_attributes(ds: Dataset, kind: brain.Weighting, times: tuple[int, int], number: int) -> None:
    """How the sequence was measured.  PS3.3 C.8.3.1"""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.FrameOfReferenceUID = uid(MR_BRAIN.key, "frame")
    ds.ScanningSequence = ["SE", "IR"] if kind is brain.FLAIR else "SE"
    ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SK", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = times[0], times[1], 1 if times[1] < 20 else 12
    if kind is brain.FLAIR:
        ds.InversionTime = 2500
    if kind is brain.T1_CONTRAST:
        ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Gadobutrol 7.5 mmol", "IV"
    ds.MagneticFieldStrength, ds.ImagingFrequency, ds.FlipAngle = 3, 123.2, 90
    ds.PatientPosition, ds.AcquisitionNumber = "HFS", number
    ds.SliceThickness, ds.SpacingBetweenSlices = 4, 5
    ds.WindowCenter, ds.WindowWidth = (420, 880) if kind.name.startswith("T1") else (460, 940)


def mr_plane(ds: Dataset, plane: str, at: float) -> None:
    """Where one MR slice lies."""
    pixel = brain.FIELD_OF_VIEW / brain.SIZE
    corner = -(brain.SIZE - 1) / 2 * pixel
    ds.SliceLocation = at
    if plane == "axial":
        place(ds, [1, 0, 0, 0, 1, 0], [corner, corner, at], pixel)
    else:
        place(ds, [0, 1, 0, 0, 0, -1], [at, corner, -corner], pixel)


def ultrasound(folder: Path, keep_every: int) -> None:
    """Two loops of one beat: grey, and with colour over the leaking valve."""
    device = ("Konsil Sandbox", "Phantom Echo")
    series = Series(ECHO, 1, "US", "Apical four chamber", UltrasoundMultiFrameImageStorage, device)
    for number, colour in ((1, False), (2, True)):
        ds = instance(series, number)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "CARDIAC", "0011" if colour else "0001"]
        ds.FrameTime, ds.CineRate = echo.FRAME_MILLISECONDS, round(1000 / echo.FRAME_MILLISECONDS)
        ds.FrameIncrementPointer = 0x00181063
        ds.HeartRate = 72
        ds.SequenceOfUltrasoundRegions = [sector_region()]
        jpeg_frames(ds, list(echo.Echo(5, colour).frames(keep_every)))
        write(ds, folder / f"{number}.dcm", compressed=True)


def sector_region() -> Dataset:
    """Where the sector lies in the picture and how large a pixel is.  PS3.3 C.8.5.5"""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 2
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 24, 16
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 488, 384
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = echo.MILLIMETRES / 10
    return region


def film(folder: Path, keep_every: int) -> None:
    """The chest radiograph of two years before."""
    device = ("Konsil Sandbox", "Phantom CR")
    series = Series(FILM, 1, "CR", "Chest PA", ComputedRadiographyImageStorage, device)
    ds = instance(series, 1)
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PatientOrientation = ["L", "F"]
    ds.ViewPosition, ds.KVP, ds.PlateID = "PA", 125, "P17"
    ds.ImagerPixelSpacing = [round(radiograph.PIXEL, 5)] * 2
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    grey_pixels(ds, radiograph.chest_film(7, 4 * min(keep_every, 4)))
    write(ds, folder / "1.dcm")
