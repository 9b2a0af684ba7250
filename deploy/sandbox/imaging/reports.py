"""Reports of the outside hospital as PDF, to be encapsulated in DICOM."""

import json
from pathlib import Path

import numpy as np
import typst

from deploy.sandbox.charts.letter import Letter, as_pdf
from deploy.sandbox.imaging.catalogue import ANGIOGRAPHY_REPORT, EEG_REPORT
from deploy.sandbox.imaging.dicom import HOSPITAL, pdf_document, write

ANGIOGRAPHY = Letter(
    title="CT angiography of the thoracic aorta and arch vessels",
    hospital=HOSPITAL,
    department="Department of Radiology",
    facts=(
        ("Patient", "Alrashid, Laila, record A-0119027"),
        ("Examination", "21 October 2026, 75 ml iohexol 350, arterial phase"),
        ("Referred by", "Nour Haddad, MD, Rheumatology"),
        ("Question", "Arm claudication on the left, raised CRP, no pulse at the left wrist: large-vessel vasculitis?"),
    ),
    paragraphs=(
        (
            "Findings",
            "Concentric thickening of the wall of the aortic arch and of the descending thoracic aorta, up to 6 mm, "
            "low density with a faint double ring. The left subclavian artery is narrowed over 4 cm to a lumen of 2 mm "
            "from its origin on; the left common carotid artery is narrowed to about 60 %. Brachiocephalic trunk: wall "
            "4 mm, lumen kept. No aneurysm, no dissection. Pulmonary arteries unremarkable in this phase.",
        ),
        (
            "",
            "Lungs clear. No pleural or pericardial effusion. No perirenal or periaortic soft tissue in the part seen.",
        ),
        (
            "Impression",
            "Large-vessel vasculitis of the arch and its branches, type IIb by distribution; Takayasu arteritis is the "
            "likeliest. The long, smooth sheath of the descending aorta also asks for Erdheim-Chester disease: imaging "
            "of kidneys and long bones is suggested before treatment is chosen.",
        ),
    ),
    signature="Dr. Helene Brandt, Consultant Radiologist, 22 October 2026",
)

EEG_TEMPLATE = """
#let data = json(bytes(sys.inputs.data))
#set document(title: data.title, date: none)
#set page(paper: "us-letter", margin: (x: 20mm, y: 20mm), footer: context [
  #set text(8pt, fill: luma(90)); #data.hospital #h(1fr) Page #counter(page).display() of #counter(page).final().first()
])
#set text(10pt)
#set par(leading: 0.6em, spacing: 0.95em)
#text(15pt, weight: "bold", fill: rgb("#1d4d6b"))[#data.hospital] \\
#text(9pt, fill: luma(80))[Department of Clinical Neurophysiology]
#line(length: 100%, stroke: 0.6pt + rgb("#1d4d6b"))
#text(13pt, weight: "bold")[#data.title]
#table(columns: (auto, 1fr), stroke: none, inset: (x: 0pt, y: 2pt), column-gutter: 8mm,
  ..data.facts.map(row => (text(fill: luma(80))[#row.at(0)], row.at(1))).flatten())
#for paragraph in data.paragraphs [*#paragraph.at(0)* \\ #paragraph.at(1)

]
#figure(image(bytes(data.traces), format: "svg", width: 100%),
  caption: [Onset of a seizure from sleep, 8 seconds, longitudinal bipolar montage, 100 µV/cm, 70 Hz.])
#data.signature
"""
EEG = {
    "title": "Video EEG monitoring, five days",
    "hospital": HOSPITAL,
    "facts": [
        ["Patient", "Kowalczyk Cwik, Zofia, record A-0127714"],
        ["Recorded", "2 to 6 October 2026, 32 channels, 10-20 system, video"],
        ["Medication", "Levetiracetam halved on day 2, oxcarbazepine stopped on day 3"],
    ],
    "paragraphs": [
        [
            "Between seizures",
            "Background 9/s over the back of the head, normal for age. Continuous slow waves and rhythmic sharp waves "
            "over the right frontal electrodes (F4, FC2, FC6), in sleep in runs of up to ten seconds.",
        ],
        [
            "Seizures",
            "Fourteen, all alike, twelve of them from sleep: eyes open, the left arm stiffens, face turns to the left, "
            "20 to 35 seconds, no loss of awareness in three of five tested. Onset: low-voltage fast activity at "
            "F4 and FC6, then rhythmic spikes that spread to Fz and C4.",
        ],
        [
            "Conclusion",
            "Focal epilepsy of the right frontal lobe. All recorded seizures begin there, which fits the thick cortex "
            "in the right middle frontal gyrus on MR.",
        ],
    ],
    "signature": "Dr. Agnieszka Zielinska, Paediatric Neurology, 6 October 2026",
}
CHANNELS = ("Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "Fp2-F8", "F8-T8", "Fp1-F3", "F3-C3", "C3-P3", "P3-O1")
STRENGTH = (1.0, 1.25, 0.45, 0.15, 0.5, 0.3, 0.25, 0.15, 0.1, 0.08)


def traces() -> str:
    """Ten channels of eight seconds as SVG; the seizure begins after three."""
    rng = np.random.default_rng(17)
    seconds = np.linspace(0, 8, 1000)
    lines = []
    for number, (name, strength) in enumerate(zip(CHANNELS, STRENGTH, strict=True)):
        middle = 22 + 30 * number
        wave = channel(rng, seconds, strength, number)
        points = " ".join(f"{60 + 78 * t:.1f},{middle - 11 * v:.1f}" for t, v in zip(seconds, wave, strict=True))
        lines.append(f'<text x="4" y="{middle + 4}" font-size="11">{name}</text>')
        lines.append(f'<polyline points="{points}" fill="none" stroke="#123" stroke-width="0.7"/>')
    ticks = "".join(f'<path d="M{60 + 78 * s} 0V322" stroke="#bbb" stroke-width="0.5"/>' for s in range(9))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 690 322">{ticks}{"".join(lines)}</svg>'


def channel(rng: np.random.Generator, t: np.ndarray, strength: float, number: int) -> np.ndarray:
    """One trace: background, then fast activity that turns into growing spikes."""
    smooth = np.convolve(rng.standard_normal(len(t) + 24), np.hanning(24) / 6, "valid")[: len(t)]
    alpha = 0.35 * np.sin(2 * np.pi * 9 * t + number) * (0.3 + 0.7 * (number % 6 > 2))
    after = np.clip(t - 3, 0, None)
    fast = np.minimum(after * 2, 1) * np.exp(-after / 1.6) * 0.7 * np.sin(2 * np.pi * 19 * t)
    phase = (after * (6.5 - 0.5 * after)) % 1
    spikes = np.clip(after - 0.8, 0, 2.6) * (
        np.exp(-(((phase - 0.2) / 0.06) ** 2)) - 0.45 * np.exp(-(((phase - 0.5) / 0.2) ** 2))
    )
    return np.asarray(0.55 * smooth + alpha + strength * (fast + 1.1 * spikes))


def eeg_pdf() -> bytes:
    """The EEG report."""
    data = json.dumps({**EEG, "traces": traces()}, ensure_ascii=False)
    made = typst.compile(
        EEG_TEMPLATE.encode(), format="pdf", sys_inputs={"data": data}, ignore_system_fonts=True, timestamp=0
    )
    if not isinstance(made, bytes):
        raise TypeError("typst gave more than one document")
    return made


def angiography_report(folder: Path, keep_every: int) -> None:
    """The radiologist's report of the CT angiography."""
    write(pdf_document(ANGIOGRAPHY_REPORT, ANGIOGRAPHY.title, as_pdf(ANGIOGRAPHY)), folder / "1.dcm")


def eeg_report(folder: Path, keep_every: int) -> None:
    """The report of the video EEG."""
    write(pdf_document(EEG_REPORT, str(EEG["title"]), eeg_pdf()), folder / "1.dcm")
