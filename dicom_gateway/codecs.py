"""JPEG by GDCM: lossless and 12-bit lossy frames read, lossless ones written.  PS3.5 A.4.1

All other syntaxes are read by pydicom's plug-ins of Pillow, OpenJPEG and CharLS.  Its own plug-in of GDCM is taken out:
it refuses 12 bits, and GDCM ends the whole process for frames of 8 bits of which fewer are stored.
"""

from collections.abc import Callable
from typing import Any, Final

import gdcm
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import _PIXEL_DATA_DECODERS, get_decoder
from pydicom.uid import AllTransferSyntaxes

READ: Final = {
    "1.2.840.10008.1.2.4.51": "JPEGExtendedProcess2_4",
    "1.2.840.10008.1.2.4.57": "JPEGLosslessProcess14",
    "1.2.840.10008.1.2.4.70": "JPEGLosslessProcess14_1",
}
DECODER_DEPENDENCIES: Final = dict.fromkeys(READ, ("gdcm>=3.0.10",))
JPEG_LOSSLESS: Final = {
    "1.2.840.10008.1.2.4.57": "JPEGLosslessProcess14",
    "1.2.840.10008.1.2.4.70": "JPEGLosslessProcess14_1",
}
Array = np.ndarray[Any, Any]


def prepare() -> None:
    """Let pydicom decode by what is safe here, once a process."""
    for syntax in AllTransferSyntaxes:
        if syntax.is_compressed and syntax in _PIXEL_DATA_DECODERS:
            decoder = get_decoder(syntax)
            if "gdcm" in decoder.available_plugins:
                decoder.remove_plugin("gdcm")
            if syntax in READ and "konsil" not in decoder.available_plugins:
                decoder.add_plugin("konsil", ("dicom_gateway.codecs", "_decode_frame"))


def is_available(uid: str) -> bool:
    """Whether this plug-in reads a syntax, as pydicom asks."""
    return uid in READ


def _decode_frame(source: bytes, runner: Any) -> bytes:
    """One frame of JPEG as samples of 8 or 16 bits.  Raises RuntimeError."""
    allocated = 8 if runner.bits_allocated <= 8 else 16
    stored = 8 if allocated == 8 else min(max(runner.bits_stored, 9), 16)
    form = gdcm.PixelFormat(runner.samples_per_pixel, allocated, stored, stored - 1, runner.pixel_representation)
    image = _image(runner, form, READ[str.__str__(runner.transfer_syntax)])
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(source)
    fragments.AddFragment(fragment)
    element = _pixel_data()
    element.SetValue(fragments.__ref__())
    image.SetDataElement(element)
    samples: str | None = image.GetBuffer()
    if samples is None or not image.GetBufferLength():
        raise RuntimeError("GDCM cannot decode the frame")
    runner.set_option("bits_allocated", allocated)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return samples.encode("utf-8", "surrogateescape")


def encode_lossless_jpeg(samples: Array, ds: Dataset, transfer_syntax_uid: str) -> bytes:
    """One frame of whole bytes in a lossless JPEG syntax.  Raises RuntimeError."""
    if (int(ds.BitsAllocated), int(ds.BitsStored)) != (8, 8) and not 8 < int(ds.BitsStored) <= int(
        ds.BitsAllocated
    ) == 16:
        raise RuntimeError("GDCM writes samples of 8 bits, or of 9 to 16")
    form = gdcm.PixelFormat(
        int(ds.SamplesPerPixel),
        int(ds.BitsAllocated),
        int(ds.BitsStored),
        int(ds.BitsStored) - 1,
        int(ds.PixelRepresentation),
    )
    image = _image(_Shape(ds), form, "ExplicitVRLittleEndian")
    element = _pixel_data()
    element.SetByteStringValue(np.ascontiguousarray(samples).tobytes())
    image.SetDataElement(element)
    found = _changed(image, transfer_syntax_uid)
    if not found:
        raise RuntimeError("GDCM cannot encode the frame")
    return found


def _changed(image: Any, transfer_syntax_uid: str) -> bytes:
    """The image's one frame in another syntax, nothing when GDCM cannot."""
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(_syntax(JPEG_LOSSLESS[transfer_syntax_uid]))
    image.thisown = False  # the filter counts references and deletes it; a second time would end the process
    change.SetInput(image)
    if not change.Change():
        return b""
    output = change.GetOutput()
    element = output.GetDataElement()
    fragments = element.GetSequenceOfFragments()
    values = [fragments.GetFragment(number).GetByteValue() for number in range(fragments.GetNumberOfFragments())]
    return b"".join(value.GetBuffer().encode("utf-8", "surrogateescape") for value in values)


class _Shape:
    """What an image is made with, out of a data set."""

    def __init__(self, ds: Dataset) -> None:
        self.rows, self.columns = int(ds.Rows), int(ds.Columns)
        self.samples_per_pixel = int(ds.SamplesPerPixel)
        self.photometric_interpretation = str(ds.PhotometricInterpretation)


def _image(shape: Any, form: Any, syntax: str) -> Any:
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((shape.columns, shape.rows, 1))
    kind = gdcm.PhotometricInterpretation.GetPIType(str(shape.photometric_interpretation))
    image.SetPixelFormat(form)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if shape.samples_per_pixel > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(_syntax(syntax))
    return image


def _syntax(name: str) -> Any:
    return gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name))


def _pixel_data() -> Any:
    make: Callable[..., Any] = gdcm.DataElement
    return make(gdcm.Tag(0x7FE0, 0x0010))
