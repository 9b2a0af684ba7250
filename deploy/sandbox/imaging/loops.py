"""Echocardiograms in DICOM: one beat as a lossy multi-frame loop, without and with the colour of the flow."""

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage

from deploy.sandbox.imaging import echo
from deploy.sandbox.imaging.catalogue import ECHO, VALVE_ECHO
from deploy.sandbox.imaging.dicom import Series, Study, instance, jpeg_frames, write
from deploy.sandbox.imaging.valve_echo import ValveEcho


def loops(study: Study, view: str, drawing: echo.Echo, folder: Path, keep_every: int) -> None:
    """Two loops of one beat."""
    device = ("Konsil Sandbox", "Phantom Echo")
    series = Series(study, 1, "US", view, UltrasoundMultiFrameImageStorage, device)
    for number, frames in enumerate(zip(*drawing.frames(keep_every), strict=True), start=1):
        ds = instance(series, number)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "CARDIAC", "0011" if number == 2 else "0001"]
        ds.FrameTime, ds.CineRate = echo.FRAME_MILLISECONDS, round(1000 / echo.FRAME_MILLISECONDS)
        ds.FrameIncrementPointer = 0x00181063
        ds.HeartRate = 72
        ds.SequenceOfUltrasoundRegions = [sector_region()]
        jpeg_frames(ds, list(frames))
        write(ds, folder / f"{number}.dcm", JPEGBaseline8Bit)


def sector_region() -> Dataset:
    """Where the sector lies in the picture and how large a pixel is.  PS3.3 C.8.5.5"""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 2
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 24, 16
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 488, 384
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX = region.PhysicalDeltaY = echo.MILLIMETRES / 10
    return region


def mitral_echo(folder: Path, keep_every: int) -> None:
    """Four chambers and a leaking mitral valve."""
    loops(ECHO, "Apical four chamber", echo.Echo(5), folder, keep_every)


def valve_echo(folder: Path, keep_every: int) -> None:
    """The long axis and a narrow aortic valve."""
    loops(VALVE_ECHO, "Parasternal long axis", ValveEcho(6), folder, keep_every)
