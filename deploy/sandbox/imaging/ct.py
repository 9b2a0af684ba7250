"""CT studies: drawn slices as CT Image Storage, head first, in Hounsfield units."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from deploy.sandbox.imaging import abdomen, catalogue, thorax, vessels
from deploy.sandbox.imaging.dicom import Series, Study, grey_pixels, instance, place, uid, write
from deploy.sandbox.imaging.shapes import Plane

SOFT_TISSUE, LUNG = ("SOFT TISSUE", 40, 400), ("LUNG", -550, 1500)
VESSELS, HEART = ("VESSELS", 180, 700), ("HEART", 250, 900)


@dataclass(frozen=True)
class Scan:
    """One CT series: what it is called, how its slices lie, how it is shown and compressed."""

    study: Study
    name: str
    heights: list[float]
    thickness: float
    field_of_view: float
    windows: tuple[tuple[str, int, int], ...]
    syntax: UID = ExplicitVRLittleEndian


CHEST = Scan(catalogue.CT_CHEST, "Thorax 1.0 Br40 +C", thorax.HEIGHTS, 1.0, thorax.FIELD_OF_VIEW, (SOFT_TISSUE, LUNG))
ANGIOGRAPHY = Scan(
    catalogue.CT_ANGIOGRAPHY, "Aorta CTA 3.0 Bv38", vessels.ANGIOGRAPHY_HEIGHTS, 3.0, thorax.FIELD_OF_VIEW,
    (VESSELS, SOFT_TISSUE), JPEG2000Lossless,
)  # fmt: skip
ABDOMEN = Scan(
    catalogue.CT_ABDOMEN, "Abdomen 2.5 Br40 portal venous", abdomen.HEIGHTS, 2.5, abdomen.FIELD_OF_VIEW,
    (SOFT_TISSUE,), JPEGLSLossless,
)  # fmt: skip
FORMER = Scan(
    catalogue.CT_ABDOMEN_FORMER, "Abdomen 5.0 Br40", abdomen.FORMER_HEIGHTS, 5.0, abdomen.FIELD_OF_VIEW,
    (SOFT_TISSUE,), JPEGLSLossless,
)  # fmt: skip
ROOT = Scan(
    catalogue.CT_AORTIC_ROOT, "Aortic root 0.8 Bv40 35%", vessels.ROOT_HEIGHTS, 0.8, vessels.ROOT_FIELD_OF_VIEW,
    (HEART, SOFT_TISSUE), JPEGLSLossless,
)  # fmt: skip


def write_scan(scan: Scan, draw: Callable[[float], Plane], folder: Path, keep_every: int) -> None:
    """Every slice of a series, or every so manieth."""
    series = Series(scan.study, 2, "CT", scan.name, CTImageStorage, ("Konsil Sandbox", "Phantom CT 1"))
    for number, z in list(enumerate(reversed(scan.heights), start=1))[::keep_every]:
        ds = instance(series, number)
        attributes(ds, scan, z)
        grey_pixels(ds, np.clip(np.rint(draw(z) + 1024), 0, 4095).astype(np.uint16))
        write(ds, folder / f"{number:04d}.dcm", scan.syntax)


def attributes(ds: Dataset, scan: Scan, z: float) -> None:
    """How the slice was taken and where it lies.  PS3.3 C.8.2.1"""
    pixel = scan.field_of_view / thorax.SIZE
    corner = -(thorax.SIZE - 1) / 2 * pixel
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.FrameOfReferenceUID = uid(scan.study.key, "frame")
    ds.PatientPosition, ds.AcquisitionNumber = "HFS", 1
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime, ds.ConvolutionKernel = 120, 210, 500, kernel(scan)
    ds.ContrastBolusAgent, ds.ContrastBolusRoute = "Iohexol 350", "IV"
    ds.SliceThickness, ds.SliceLocation = scan.thickness, z
    place(ds, [1, 0, 0, 0, 1, 0], [corner, corner, z], pixel)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = [each[1] for each in scan.windows], [each[2] for each in scan.windows]
    ds.WindowCenterWidthExplanation = [each[0] for each in scan.windows]


def kernel(scan: Scan) -> str:
    """The reconstruction kernel, a word of the series' name."""
    return next(word for word in scan.name.split() if word[:2] in {"Br", "Bv"})


def ct_chest(folder: Path, keep_every: int) -> None:
    """300 axial slices of a millimetre."""
    write_scan(CHEST, thorax.Thorax(7).slice, folder, keep_every)


def ct_angiography(folder: Path, keep_every: int) -> None:
    """The aorta and its branches."""
    write_scan(ANGIOGRAPHY, vessels.Arteritis(31).slice, folder, keep_every)


def ct_abdomen(folder: Path, keep_every: int) -> None:
    """The abdomen of today."""
    write_scan(ABDOMEN, abdomen.Abdomen(51).slice, folder, keep_every)


def ct_abdomen_former(folder: Path, keep_every: int) -> None:
    """The same abdomen in summer, in thicker slices, with a smaller mass."""
    write_scan(FORMER, abdomen.Abdomen(51, growth=0.55).slice, folder, keep_every)


def ct_aortic_root(folder: Path, keep_every: int) -> None:
    """Thin slices through the aortic root."""
    write_scan(ROOT, vessels.Root(41).slice, folder, keep_every)
