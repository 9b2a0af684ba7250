"""How this host looks, for apps that want to look alike.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling
"""

import hashlib
from typing import Final

import orjson

from fhir_server.auth.server import issuer
from fhir_server.settings import Settings

STYLE: Final = {
    "color_background": "#f5f7f8",
    "color_error": "#b3261e",
    "color_highlight": "#0b6a72",
    "color_modal_backdrop": "#17252b99",
    "color_success": "#1b6e3c",
    "color_text": "#17252b",
    "dim_border_radius": "6px",
    "dim_font_size": "14px",
    "dim_spacing_size": "16px",
    "font_family_body": "'Inter Variable', Inter, system-ui, 'Noto Sans', sans-serif",
    "font_family_heading": "'Inter Variable', Inter, system-ui, 'Noto Sans', sans-serif",
}
PATH: Final = f"/oauth/style-{hashlib.sha256(orjson.dumps(STYLE)).hexdigest()[:12]}.json"
"""Another look is another address: apps keep what they have read."""


def style_url(settings: Settings) -> str:
    """`smart_style_url` of a token answer."""
    return issuer(settings) + PATH
