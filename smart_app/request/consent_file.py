"""The patient's signed consent as an uploaded file: is it what it says, can it be opened, has it a page?"""

from collections.abc import Callable
from io import BytesIO

from PIL import Image, UnidentifiedImageError
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from smart_app.errors import Invalid

PDF, PNG, JPEG = "application/pdf", "image/png", "image/jpeg"
_STARTS = {PDF: b"%PDF", PNG: b"\x89PNG", JPEG: b"\xff\xd8"}
_SCAN_AGAIN = "Scan the signed form again and attach the new file. What you attached before is kept."
_BROKEN_PDF = (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


def content_type_of(body: bytes) -> str:
    """The file's type, told by its first bytes.  Raises Invalid: empty, another type, broken, locked, no page."""
    if not body:
        raise Invalid("The file is empty.", _SCAN_AGAIN)
    found = next((kind for kind, start in _STARTS.items() if body.startswith(start)), None)
    if found is None:
        raise Invalid("This file is neither a PDF nor a picture.", "Scan the signed form as PDF, PNG or JPEG.")
    check: Callable[[bytes], None] = _check_pdf if found == PDF else _check_picture
    check(body)
    return found


def _check_pdf(body: bytes) -> None:
    try:
        reader = PdfReader(BytesIO(body))
        locked, pages = reader.is_encrypted, 0 if reader.is_encrypted else len(reader.pages)
    except _BROKEN_PDF as error:
        raise Invalid("This PDF is broken and cannot be opened.", _SCAN_AGAIN) from error
    if locked:
        raise Invalid("This PDF is locked with a password.", "Attach a copy without a password.")
    if not pages:
        raise Invalid("This PDF has no page.", _SCAN_AGAIN)


def _check_picture(body: bytes) -> None:
    try:
        with Image.open(BytesIO(body)) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Invalid("This picture is broken and cannot be opened.", _SCAN_AGAIN) from error
