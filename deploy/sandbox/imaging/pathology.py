"""The section of skin as DICOM: a pyramid of four levels, the label, an overview, all in one series.  PS3.3 A.32.8"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from deploy.sandbox.imaging import slide
from deploy.sandbox.imaging.catalogue import SLIDE
from deploy.sandbox.imaging.dicom import Series, code, instance, uid, write

SERIES = Series(
    SLIDE, 1, "SM", "H&E, A1", VLWholeSlideMicroscopyImageStorage, ("Konsil Sandbox", "Phantom slide scanner")
)
RGB = NDArray[np.uint8]


def whole_slide(folder: Path, keep_every: int) -> None:
    """Levels from the largest to the smallest, then overview and label; fewer pixels when slices are left out."""
    step = 1 if keep_every == 1 else 4
    base = Image.fromarray(slide.section(81, step))
    for level in range(4):
        size = (base.width >> level, base.height >> level)
        picture = base if level == 0 else base.resize(size, Image.Resampling.BOX, reducing_gap=2)
        kind = (
            ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"] if level == 0 else ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
        )
        ds = microscopy(level + 1, kind, np.asarray(picture), step << level)
        write(ds, folder / f"{level + 1}.dcm", JPEGBaseline8Bit)
    small = np.asarray(base.resize((768, 512), Image.Resampling.BOX))
    write(microscopy(5, ["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"], small, 8), folder / "5.dcm", JPEGBaseline8Bit)
    write(
        microscopy(6, ["ORIGINAL", "PRIMARY", "LABEL", "NONE"], slide.label(), 16), folder / "6.dcm", JPEGBaseline8Bit
    )


def microscopy(number: int, kind: list[str], picture: RGB, shrunk: int) -> Dataset:
    """One image of the slide; levels are cut into tiles, overview and label are one tile."""
    ds = instance(SERIES, number)
    ds.ImageType = kind
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid(SLIDE.key, "frame"), "SLIDE_CORNER"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "KS-0001", "1.0"
    ds.AcquisitionDateTime = SLIDE.date + SLIDE.time
    ds.VolumetricProperties, ds.SpecimenLabelInImage = "VOLUME", "YES" if "LABEL" in kind else "NO"
    ds.BurnedInAnnotation, ds.FocusMethod, ds.ExtendedDepthOfField = "YES" if "LABEL" in kind else "NO", "AUTO", "NO"
    specimen(ds)
    optics(ds)
    tiles(ds, picture, slide.TILE if "VOLUME" in kind else None)
    geometry(ds, picture, shrunk)
    return ds


def specimen(ds: Dataset) -> None:
    """The glass and what is on it.  PS3.3 C.7.6.22"""
    ds.ContainerIdentifier = "S26-3318-A1-1"
    ds.IssuerOfTheContainerIdentifierSequence = Sequence()
    if "LABEL" in ds.ImageType:
        ds.BarcodeValue, ds.LabelText = ds.ContainerIdentifier, "S26-3318 A1 H&E"
    ds.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    ds.AcquisitionContextSequence = Sequence()
    item = Dataset()
    item.SpecimenIdentifier, item.SpecimenUID = "S26-3318-A1", uid(SLIDE.key, "specimen")
    item.IssuerOfTheSpecimenIdentifierSequence = Sequence()
    item.SpecimenShortDescription = "Skin, upper back, excision"
    item.PrimaryAnatomicStructureSequence = [code("39937001", "SCT", "Skin")]
    item.SpecimenPreparationSequence = Sequence()
    ds.SpecimenDescriptionSequence = [item]


def optics(ds: Dataset) -> None:
    """One optical path in white light, with the profile that says what its colours mean.  PS3.3 C.8.12.5"""
    path = Dataset()
    path.OpticalPathIdentifier, path.OpticalPathDescription = "1", "Brightfield"
    path.IlluminationTypeCodeSequence = [code("111744", "DCM", "Brightfield illumination")]
    path.IlluminationColorCodeSequence = [code("414298005", "SCT", "Full Spectrum")]
    path.ObjectiveLensPower = 20
    path.ICCProfile = profile()
    ds.OpticalPathSequence = [path]
    ds.NumberOfOpticalPaths = 1


def profile() -> bytes:
    """sRGB; the time of making is blanked out, so that the profile is always the same."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    fixed = made[:24] + bytes(12) + made[36:84] + bytes(16) + made[100:]
    return fixed + b"\0" * (len(fixed) % 2)


def tiles(ds: Dataset, picture: RGB, side: int | None) -> None:
    """JPEG frames in the order of TILED_FULL, rows first; pixels beyond the edge are white."""
    high, wide = side or picture.shape[0], side or picture.shape[1]
    frames = [jpeg(tile) for tile in cut(picture, high, wide)]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL_422", 0
    ds.Rows, ds.Columns = high, wide
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.NumberOfFrames = len(frames)
    ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
    ds.LossyImageCompressionRatio = f"{len(frames) * high * wide * 3 / sum(map(len, frames)):.2f}"
    ds.PixelData = encapsulate(frames)


def cut(picture: RGB, high: int, wide: int) -> Iterator[RGB]:
    """The tiles of a picture."""
    for top in range(0, picture.shape[0], high):
        for left in range(0, picture.shape[1], wide):
            tile = picture[top : top + high, left : left + wide]
            yield np.pad(tile, ((0, high - tile.shape[0]), (0, wide - tile.shape[1]), (0, 0)), constant_values=244)


def jpeg(tile: RGB) -> bytes:
    """One tile, lossy."""
    out = io.BytesIO()
    Image.fromarray(tile).save(out, "JPEG", quality=80, subsampling="4:2:2")
    return out.getvalue()


def geometry(ds: Dataset, picture: RGB, shrunk: int) -> None:
    """How large a pixel is and where the picture lies on the glass.  PS3.3 C.8.12.4, C.8.12.6"""
    spacing = slide.MICROMETRES / 1000 * shrunk
    ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = picture.shape[:2]
    ds.TotalPixelMatrixFocalPlanes = 1
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight = spacing * picture.shape[1], spacing * picture.shape[0]
    ds.ImagedVolumeDepth = 5.0
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20.0, 40.0
    ds.TotalPixelMatrixOriginSequence = [origin]
    ds.ImageOrientationSlide = [0, 1, 0, 1, 0, 0]
    ds.DimensionOrganizationType = "TILED_FULL"
    organization = Dataset()
    organization.DimensionOrganizationUID = uid(SLIDE.key, "dimensions")
    ds.DimensionOrganizationSequence = [organization]
    measures, frame_type, path = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [spacing, spacing], 0.005
    frame_type.FrameType = ds.ImageType
    path.OpticalPathIdentifier = "1"
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.WholeSlideMicroscopyImageFrameTypeSequence = [frame_type]
    shared.OpticalPathIdentificationSequence = [path]
    ds.SharedFunctionalGroupsSequence = [shared]
