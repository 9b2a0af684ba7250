"""Radiographs in DICOM: the chest as computed radiography, the spine in motion as digital radiography."""

from pathlib import Path

from pydicom.sequence import Sequence
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, JPEGLSLossless

from deploy.sandbox.imaging import radiograph, spine_films
from deploy.sandbox.imaging.catalogue import FILM, SPINE_FILMS
from deploy.sandbox.imaging.dicom import Series, code, grey_pixels, instance, write


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


def spine_in_motion(folder: Path, keep_every: int) -> None:
    """Three lateral views: upright, bent forward, bent back."""
    step = 1 if keep_every == 1 else 4
    device = ("Konsil Sandbox", "Phantom DX")
    for number, position in enumerate(spine_films.POSITIONS, start=1):
        kind = DigitalXRayImageStorageForPresentation
        series = Series(SPINE_FILMS, number, "DX", f"L-spine lateral {position[0].lower()}", kind, device)
        ds = instance(series, 1)
        ds.ImageType, ds.PresentationIntentType = ["ORIGINAL", "PRIMARY"], "FOR PRESENTATION"
        ds.PatientOrientation, ds.ImageLaterality, ds.ViewPosition = ["P", "F"], "U", "LL"
        view = code("399067008", "SCT", "lateral")
        view.ViewModifierCodeSequence = Sequence()
        ds.ViewCodeSequence = [view]
        ds.AnatomicRegionSequence = [code("122496007", "SCT", "Lumbar spine")]
        ds.PositionerType = "NONE"
        ds.KVP, ds.DetectorType, ds.DetectorID, ds.BurnedInAnnotation = 85, "DIRECT", "KS-DX-1", "NO"
        ds.ImagerPixelSpacing = [spine_films.PIXEL * step] * 2
        ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
        ds.PresentationLUTShape, ds.LossyImageCompression = "IDENTITY", "00"
        ds.WindowCenter, ds.WindowWidth = 2100, 3600
        ds.AcquisitionContextSequence = Sequence()
        grey_pixels(ds, spine_films.film(71, position, step))
        write(ds, folder / f"{number}.dcm", JPEGLSLossless)
