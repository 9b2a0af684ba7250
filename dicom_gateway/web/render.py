"""Pictures for people: one frame windowed and scaled, as PNG or JPEG.  PS3.18 8.7.4, 10.4.1.1.3"""

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from dicom_gateway import codecs
from dicom_gateway.web.errors import NotAcceptable, NotFound, WebError

MAX_PIXELS = 64_000_000
THUMBNAIL = 128
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
LUT_TAGS = [0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056, 0x00283000, 0x00283010, 0x00281101]
PALETTE_TAGS = [0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203]
Array = np.ndarray[Any, Any]

codecs.prepare()


@dataclass(frozen=True, slots=True)
class View:
    """How a frame is to look: window (centre, width) if not its own, and the box it must fit into."""

    window: tuple[float, float] | None = None
    box: tuple[int, int] | None = None
    media_type: str = "image/png"


def document_icon(media_type: str, box: tuple[int, int] = (THUMBNAIL, THUMBNAIL)) -> bytes:
    """A sheet of paper with lines: what stands for an object that is a document and no picture."""
    side = min(box)
    image = Image.new("RGB", (side, side), (24, 28, 33))
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = side * 0.24, side * 0.12, side * 0.76, side * 0.88
    fold = side * 0.16
    sheet = [(left, top), (right - fold, top), (right, top + fold), (right, bottom), (left, bottom)]
    pen.polygon(sheet, fill=(236, 239, 243))
    pen.polygon([(right - fold, top), (right, top + fold), (right - fold, top + fold)], fill=(184, 192, 202))
    for number in range(4):
        y = top + side * (0.26 + 0.09 * number)
        pen.line(
            (left + side * 0.08, y, right - side * (0.08 if number < 3 else 0.2), y),
            (120, 130, 142),
            max(1, side // 64),
        )
    pen.text((left + side * 0.08, top + side * 0.07), "PDF", (176, 42, 55), font=ImageFont.load_default(side * 0.13))
    target = io.BytesIO()
    image.save(target, FORMATS[media_type])
    return target.getvalue()


def render(stream: BinaryIO, frame: int, view: View) -> bytes:
    """Draw one frame, counted from 1.  Raises NotFound, NotAcceptable when it cannot be decoded here."""
    ds = Dataset()
    pixels = decode(stream, frame, ds)
    image = Image.fromarray(to_eight_bits(pixels, ds, view.window))
    if view.box is not None:
        image.thumbnail(view.box, Image.Resampling.BILINEAR)
    target = io.BytesIO()
    image.save(target, FORMATS[view.media_type])
    return target.getvalue()


def decode(stream: BinaryIO, frame: int, ds: Dataset, *, raw: bool = False) -> Array:
    """The samples of one frame; `ds` receives the attributes that say how to show them."""
    try:
        pixels = pixel_array(stream, ds_out=ds, specific_tags=[*LUT_TAGS, *PALETTE_TAGS], index=frame - 1, raw=raw)
    except (AttributeError, IndexError) as error:
        raise NotFound("The instance has no such frame.") from error
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise NotAcceptable("The stored transfer syntax cannot be decoded here.") from error
    if pixels.size > MAX_PIXELS:
        raise WebError(413, "The frame is too large to be rendered.")
    found: Array = pixels
    return found


def to_eight_bits(pixels: Array, ds: Dataset, window: tuple[float, float] | None) -> Array:
    """Samples as 8-bit grey or RGB, through modality LUT, window and palette.  PS3.4 N.2"""
    interpretation = str(ds.get("PhotometricInterpretation", "MONOCHROME2"))
    if interpretation == "PALETTE COLOR":
        return scaled(apply_color_lut(pixels, ds))
    if pixels.ndim == 3:
        return scaled(pixels)
    values = np.asarray(apply_modality_lut(pixels, ds), dtype=np.float64)
    grey = linear(values, window) if window else own_window(values, ds)
    return 255 - grey if interpretation == "MONOCHROME1" else grey


def own_window(values: Array, ds: Dataset) -> Array:
    """The first window of the object; without one, from the 1st to the 99th percentile."""
    if ds.get("VOILUTSequence"):
        return stretched(np.asarray(apply_voi_lut(values.astype(np.int64), ds), dtype=np.float64), 0, 100)
    centre, width = first_number(ds, "WindowCenter"), first_number(ds, "WindowWidth")
    if centre is not None and width is not None and width >= 1:
        return linear(values, (centre, width))
    return stretched(values, 1, 99)


def first_number(ds: Dataset, keyword: str) -> float | None:
    """The first value of a decimal attribute, None when there is none that is a number."""
    value = ds.get(keyword)
    first = value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value
    try:
        return None if first is None else float(first)
    except (TypeError, ValueError):
        return None


def linear(values: Array, window: tuple[float, float]) -> Array:
    """The LINEAR window function onto 0..255.  PS3.3 C.11.2.1.2.1"""
    centre, width = window
    low = centre - 0.5 - (width - 1) / 2
    grey: Array = np.clip((values - low) / max(width - 1, 1) * 255, 0, 255)
    return grey.astype(np.uint8)


def stretched(values: Array, low_percent: float, high_percent: float) -> Array:
    """Values between two percentiles onto 0..255."""
    low, high = np.percentile(values, [low_percent, high_percent])
    grey: Array = np.clip((values - low) / max(float(high - low), 1e-9) * 255, 0, 255)
    return grey.astype(np.uint8)


def scaled(pixels: Array) -> Array:
    """Colour samples in 8 bits."""
    shifted: Array = pixels if pixels.dtype == np.uint8 else np.right_shift(pixels, 8)
    return shifted.astype(np.uint8)
