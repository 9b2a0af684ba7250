"""Letters as PDF, set by typst: what a scanned or dictated document in a chart looks like."""

import json
from dataclasses import asdict, dataclass

import typst

TEMPLATE = """
#let data = json(bytes(sys.inputs.data))
#set document(title: data.title, date: none)
#set page(paper: "us-letter", margin: (x: 26mm, y: 24mm), footer: context [
  #set text(8pt, fill: luma(90)); #data.hospital #h(1fr) Page #counter(page).display() of #counter(page).final().first()
])
#set text(10.5pt)
#set par(justify: false, leading: 0.62em, spacing: 1.05em)
#text(15pt, weight: "bold", fill: rgb("#1d4d6b"))[#data.hospital]\\
#text(9pt, fill: luma(80))[#data.department]
#line(length: 100%, stroke: 0.6pt + rgb("#1d4d6b"))
#v(4mm)
#text(13pt, weight: "bold")[#data.title]
#table(columns: (auto, 1fr), stroke: none, inset: (x: 0pt, y: 2.2pt), column-gutter: 8mm,
  ..data.facts.map(row => (text(fill: luma(80))[#row.at(0)], row.at(1))).flatten())
#v(3mm)
#for paragraph in data.paragraphs [
  #if paragraph.at(0) != "" [*#paragraph.at(0)* \\ ]
  #paragraph.at(1)

]
#v(6mm)
#data.signature
"""


@dataclass(frozen=True)
class Letter:
    """What a letter says: facts in rows above, then paragraphs with or without a heading."""

    title: str
    hospital: str
    department: str
    facts: tuple[tuple[str, str], ...]
    paragraphs: tuple[tuple[str, str], ...]
    signature: str


def as_pdf(letter: Letter) -> bytes:
    """Set the letter; the same letter always gives the same bytes."""
    data = json.dumps(asdict(letter), ensure_ascii=False)
    made = typst.compile(
        TEMPLATE.encode(), format="pdf", sys_inputs={"data": data}, ignore_system_fonts=True, timestamp=0
    )
    if not isinstance(made, bytes):
        raise TypeError("typst gave more than one document")
    return made
