"""MR studies: drawn slices as MR Image Storage, several weightings and planes of one anatomy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage

from deploy.sandbox.imaging import brain, childs_brain, lumbar
from deploy.sandbox.imaging.catalogue import MR_BRAIN, MR_CHILD, MR_SPINE
from deploy.sandbox.imaging.dicom import Series, Study, grey_pixels, instance, place, uid, write
from deploy.sandbox.imaging.shapes import Plane

PlaneName = Literal["axial", "sagittal", "coronal"]
ORIENTATIONS = {"axial": [1, 0, 0, 0, 1, 0], "sagittal": [0, 1, 0, 0, 0, -1], "coronal": [1, 0, 0, 0, 0, -1]}
# One archive sends plain pixels, another compresses: both must be read.
SYNTAX = {MR_BRAIN: ExplicitVRLittleEndian, MR_CHILD: JPEGLSLossless, MR_SPINE: JPEGLSLossless}


@dataclass(frozen=True)
class Sequence:
    """One MR series: number, name, plane, how it was measured, where its slices lie."""

    number: int
    name: str
    plane: PlaneName
    times: tuple[int, int]
    places: tuple[float, ...]
    draw: Callable[[float], Plane]
    size: int = brain.SIZE
    field_of_view: float = brain.FIELD_OF_VIEW
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tesla: float = 3.0

    @property
    def kind(self) -> str:
        """FLAIR, T1+C, T1 or T2, from the name."""
        words = self.name.split()
        return "FLAIR" if "FLAIR" in words else "T1+C" if "+C" in words else words[1]


def write_sequence(study: Study, sequence: Sequence, folder: Path, keep_every: int) -> None:
    """Every slice of a sequence, or every so manieth."""
    series = Series(study, sequence.number, "MR", sequence.name, MRImageStorage, ("Konsil Sandbox", "Phantom MR 3T"))
    for index, at in list(enumerate(sequence.places, start=1))[::keep_every]:
        ds = instance(series, index)
        measured(ds, sequence)
        ds.FrameOfReferenceUID = uid(study.key, "frame")
        lie(ds, sequence, at)
        grey_pixels(ds, np.rint(sequence.draw(at)).astype(np.uint16))
        write(ds, folder / f"{sequence.number}-{index:03d}.dcm", SYNTAX[study])


def measured(ds: Dataset, sequence: Sequence) -> None:
    """How the sequence was measured.  PS3.3 C.8.3.1"""
    repetition, echo = sequence.times
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.ScanningSequence = ["SE", "IR"] if sequence.kind == "FLAIR" else "SE"
    ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SK", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = repetition, echo, 1 if echo < 20 else 12
    if sequence.kind == "FLAIR":
        ds.InversionTime = 2500
    if sequence.kind == "T1+C":
        ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Gadobutrol 7.5 mmol", "IV"
    ds.MagneticFieldStrength, ds.ImagingFrequency, ds.FlipAngle = sequence.tesla, round(41.07 * sequence.tesla, 1), 90
    ds.PatientPosition, ds.AcquisitionNumber = "HFS", sequence.number
    ds.SliceThickness = 4
    ds.SpacingBetweenSlices = round(abs(sequence.places[1] - sequence.places[0]), 2)
    ds.WindowCenter, ds.WindowWidth = (420, 880) if sequence.kind.startswith("T1") else (460, 940)


def lie(ds: Dataset, sequence: Sequence, at: float) -> None:
    """Where one slice lies."""
    pixel = sequence.field_of_view / sequence.size
    corner = -(sequence.size - 1) / 2 * pixel
    x, y, z = sequence.middle
    ds.SliceLocation = at
    corners = {
        "axial": [corner + x, corner + y, at],
        "sagittal": [at, corner + y, -corner + z],
        "coronal": [corner + x, at, -corner + z],
    }
    place(ds, ORIENTATIONS[sequence.plane], corners[sequence.plane], pixel)


def steps(first: float, step: float, count: int) -> tuple[float, ...]:
    """Places of slices at equal distances."""
    return tuple(round(first + step * number, 2) for number in range(count))


def mr_brain(folder: Path, keep_every: int) -> None:
    """Five series of one head: four axial of 26 slices, one sagittal of 27."""
    drawing = brain.Brain(11)
    axial, sagittal = steps(62, -5, 26), steps(-64.5, 5, 27)
    for sequence in (
        Sequence(2, "AX T1", "axial", (500, 9), axial, lambda z: drawing.axial(z, brain.T1)),
        Sequence(3, "AX T2", "axial", (4500, 102), axial, lambda z: drawing.axial(z, brain.T2)),
        Sequence(4, "AX FLAIR", "axial", (9000, 125), axial, lambda z: drawing.axial(z, brain.FLAIR)),
        Sequence(5, "SAG T1", "sagittal", (520, 9), sagittal, lambda x: drawing.sagittal(x, brain.T1)),
        Sequence(6, "AX T1 +C", "axial", (500, 9), axial, lambda z: drawing.axial(z, brain.T1_CONTRAST)),
    ):
        write_sequence(MR_BRAIN, sequence, folder, keep_every)


def mr_child(folder: Path, keep_every: int) -> None:
    """Three series of a child's head, 26 slices each."""
    drawing = childs_brain.ChildsBrain(13)
    axial, coronal, sagittal = steps(62, -5, 26), steps(-66, 5.4, 26), steps(-62.5, 5, 26)
    for sequence in (
        Sequence(2, "AX T2", "axial", (4800, 98), axial, lambda z: drawing.axial(z, childs_brain.T2)),
        Sequence(3, "COR FLAIR", "coronal", (9000, 120), coronal, lambda y: drawing.coronal(y, childs_brain.FLAIR)),
        Sequence(4, "SAG T1", "sagittal", (540, 9), sagittal, lambda x: drawing.sagittal(x, childs_brain.T1)),
    ):
        write_sequence(MR_CHILD, sequence, folder, keep_every)


def mr_spine(folder: Path, keep_every: int) -> None:
    """Two sagittal series of 15 slices, one axial of 24 through the lower discs."""
    drawing = lumbar.Lumbar(61)
    sagittal, axial = steps(-31.5, 4.5, 15), steps(64, -5, 24)
    side: tuple[int, float] = (lumbar.SIZE, lumbar.FIELD_OF_VIEW)
    across: tuple[int, float] = (lumbar.AXIAL_SIZE, lumbar.AXIAL_FIELD_OF_VIEW)
    middle = (0.0, lumbar.AXIAL_MIDDLE, 0.0)
    none = (0.0, 0.0, 0.0)
    for sequence in (
        Sequence(
            2, "SAG T1", "sagittal", (560, 10), sagittal, lambda x: drawing.sagittal(x, lumbar.T1), *side, none, 1.5
        ),
        Sequence(
            3, "SAG T2", "sagittal", (3600, 105), sagittal, lambda x: drawing.sagittal(x, lumbar.T2), *side, none, 1.5
        ),
        Sequence(4, "AX T2", "axial", (4200, 110), axial, lambda z: drawing.axial(z, lumbar.T2), *across, middle, 1.5),
    ):
        write_sequence(MR_SPINE, sequence, folder, keep_every)
