"""The form on which a patient releases records, signed: the paper that a case of the demo rests on."""

import hashlib
import json
from datetime import date

import typst

from smart_app.request.content import Attachment

SOURCE = b"""
#let words = json(bytes(sys.inputs.words))
#set page(paper: "us-letter", margin: 1in)
#set text(size: 11pt)
= Authorization to release records
#v(1em)
I, #strong(words.name), let #words.hospital send my records and images to the consultants of #words.programme
for a second
opinion. I may take this back at any time, in writing or on the page of my case.
#v(2em)
#table(columns: (1fr, 1fr), stroke: none,
  [Signed: #emph(words.name)], [Date: #words.day])
"""


def signed_form(name: str, hospital: str, programme: str, day: date) -> tuple[Attachment, bytes]:
    """The form as a PDF, and what the request says of the file.  The same words give the same bytes."""
    words = json.dumps({"name": name, "hospital": hospital, "programme": programme, "day": day.isoformat()})
    body = typst.compile(SOURCE, format="pdf", sys_inputs={"words": words}, timestamp=0)
    return Attachment(
        name="release.pdf",
        content_type="application/pdf",
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
    ), body
