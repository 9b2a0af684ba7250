"""Huang Chih-Ming (黃志明), 63: a pigmented lesion of the back that two pathologists read in two ways."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import PRUITT
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import HUANG
from deploy.sandbox.hospitals import NORTHFIELD

KEY = "huang"
DATES = [
    "2024-12-03", "2025-03-25", "2025-07-08", "2025-10-28", "2026-02-10", "2026-06-16", "2026-09-22", "2026-11-03",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb-male": [14.6, 14.4, 14.5, 14.3, 14.1, 14.2, 14.0, 14.1],
    "wbc": [5.8, 6.1, 5.6, 6.0, 5.9, 6.2, 5.7, 5.9],
    "plt": [214, 208, 219, 211, 205, 209, 203, 207],
    "crea": [1.02, 1.05, 1.04, 1.09, 1.12, 1.11, 1.16, 1.15],
    "egfr": [84, 81, 82, 77, 74, 75, 71, 72],
    "k": [4.3, 4.4, 4.2, 4.5, 4.4, 4.3, 4.5, 4.4],
    "ldh": [168, 172, 165, 174, 170, 178, 176, 181],
    "alt": [22, 25, 23, 26, 24, 27, 25, 26],
    "ldl": [131, 104, 92, 88, 85, 83, 86, 84],
    "a1c": [5.8, 5.9, 5.8, 6.0, 5.9, 6.0, 6.1, 6.0],
    "psa": [2.1, 2.2, 2.2, 2.4, 2.5, 2.4, 2.7, 2.6],
    "inr": [1.1, 1.2, 1.1, 1.2, 1.1, 1.2, 1.2, 1.1],
}

NODES_REPORT = """
ULTRASOUND OF AXILLARY, CERVICAL AND INGUINAL NODES, 26 October 2026

FINDINGS: Axillary nodes on both sides with preserved hilum, largest 14 mm, cortex 2 mm. Neck and groins without
suspicious node. Scar of the back without solid tissue.

IMPRESSION: No sign of nodal metastasis.
"""
XRAY_REPORT = """
CHEST RADIOGRAPH, TWO VIEWS, 26 October 2026

FINDINGS: Lungs clear. Heart at the upper limit of size. Aorta elongated.

IMPRESSION: No metastasis seen.
"""
EARLIER_NOTE = """
DERMATOLOGY, 22 September 2026, Dr. Alan Pruitt (Mandarin interpreter present; daughter Emily)

S: Daughter noticed that a mole of the upper back has changed in a year. No itching, no bleeding. Many sunburns when
young (worked on fishing boats in Kaohsiung until 1989). No melanoma in the family.
O: Skin type III. Upper back, left of the midline: asymmetrical brown-black plaque of 9 x 7 mm; dermoscopy with
atypical network, off-centre blue-grey area, streaks at one edge. About 60 other naevi. No palpable nodes.
P: Excision with a margin of 2 mm. Apixaban paused for one dose only.
"""
PROGRESS = """
DERMATOLOGY, 5 November 2026, Dr. Alan Pruitt (Mandarin interpreter present; daughter Emily)

S: Wound healed. He does not want "a big operation for a mole" and asks who of the two pathologists is right.
O: Scar 4 cm, calm. No in-transit lesion, no nodes. Ultrasound of nodes and chest film without finding. LDH normal.

A: Excision of 12 October (slide S26-30417). First pathologist: melanoma, superficial spreading, Breslow 1.1 mm, no
ulceration, 1 mitosis/mm2: pT2a. Second pathologist of the same department: severely atypical compound naevus with
regression, melanoma not proven, p16 kept, Ki-67 below 5%. They could not agree; the report was signed as melanoma.
What hangs on it: wide excision of 1 to 2 cm and a sentinel node biopsy under anticoagulation, follow-up for ten
years, insurance; or re-excision of 5 mm and nothing more.
P: Second opinion by a dermatopathologist on the whole slide (scanned at St. Anna): (1) melanoma or atypical naevus,
(2) if melanoma, thickness and stage, (3) which further stains or molecular tests, (4) margin and sentinel node.
"""
REASON = """
Pigmented lesion of the upper back, excised 12 October 2026. Melanoma pT2a according to one pathologist, severely
atypical naevus according to another.

Question: diagnosis on the whole slide, thickness, further tests, margin and sentinel node.
"""


def pathology() -> Letter:
    """The signed report, with the dissent in its comment."""
    return Letter(
        "Dermatopathology report S26-30417",
        NORTHFIELD.title,
        "Department of Pathology",
        (
            ("Patient", "Huang, Chih-Ming, born 09/12/1963"),
            ("Specimen", "Skin, upper back left, excision 21 x 10 mm"),
            ("Collected", "10/12/2026; slides scanned at St. Anna Hospital"),
        ),
        (
            (
                "Diagnosis",
                "Malignant melanoma, superficial spreading type. Breslow thickness 1.1 mm. Ulceration: absent. "
                "Mitotic rate: 1/mm2. Regression: present, about 20%. Margins free by 1.8 mm at the sides. pT2a.",
            ),
            (
                "Immunohistochemistry",
                "SOX10 and Melan-A positive. HMB-45: reaches the deep part, patchy. p16: largely kept. "
                "Ki-67: below 5% in the dermal part. PRAME: not available here.",
            ),
            (
                "Comment",
                "Intradepartmental consultation (J. Albright, MD) favours a severely atypical compound nevus with "
                "regression: dermal cells mature downward, mitosis lies in the junctional part. Consensus was not "
                "reached. External consultation is recommended before further surgery.",
            ),
        ),
        "Electronically signed by Nina Castellano, MD, Pathology, 10/20/2026",
    )


def board() -> Letter:
    """What the local tumour board proposes."""
    return Letter(
        "Cutaneous oncology conference",
        NORTHFIELD.title,
        "Cancer Center",
        (("Patient", "Huang, Chih-Ming, born 09/12/1963"), ("Date", "10/29/2026")),
        (
            (
                "Proposal",
                "On the signed diagnosis of melanoma pT2a: wide local excision with 1 to 2 cm and sentinel lymph node "
                "biopsy on 12/01/2026. Apixaban to be paused for 48 hours (CHA2DS2-VASc 1).",
            ),
            ("Reservation", "Dermatology asks for an external opinion on the slide first."),
        ),
        "Recorded by Alan Pruitt, MD, Dermatology",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, HUANG, NORTHFIELD, PRUITT, Payer("Casco Bay Health Plan", "CBH-092751"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    nodes = {"text": "Ultrasound, lymph nodes"}
    made.imaging_report("us-nodes", nodes, "2026-10-26", "Leyla Aydin, MD, Radiology", NODES_REPORT)
    film = concept(LOINC, "36643-5", "XR Chest 2 Views")
    made.imaging_report("chest-xray", film, "2026-10-26", "Leyla Aydin, MD, Radiology", XRAY_REPORT)
    made.note("progress", "Dermatology clinic note", "2026-09-22", EARLIER_NOTE)
    made.note("progress", "Dermatology clinic note", "2026-11-05", PROGRESS)
    made.paper("pathology", "Dermatopathology S26-30417", "2026-10-20", pathology())
    made.paper("conference", "Cutaneous oncology conference", "2026-10-29", board())
    ccda.attach(made, NORTHFIELD, "2026-11-05", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    melanoma = ("93655004", "Malignant melanoma of skin", "C43.59")
    made.suspected("melanoma", "Melanoma of the upper back pT2a, or severely atypical nevus", melanoma, "2026-10-20")
    made.problem("af", "Atrial fibrillation, paroxysmal", ("49436004", "Atrial fibrillation", "I48.0"), "2022-03-15")
    made.problem("hypertension", "Essential hypertension", ("59621000", "Essential hypertension", "I10"), "2020-02-18")
    made.problem("lipids", "Hyperlipidemia", ("55822004", "Hyperlipidemia", "E78.5"), "2018-06-20")
    made.problem("prostate", "Benign prostatic hyperplasia", ("", "", "N40.1"), "2021-01-12")
    tape = {"text": "Adhesive tape"}
    made.allergy("tape", tape, concept(SNOMED, "271807003", "Eruption of skin", "Blistering rash"), "mild", "low")
    made.allergy("cefazolin", {"text": "Cefazolin"}, concept(SNOMED, "247472004", "Weal", "Hives"), "moderate", "high")
    made.smoking("8517006", "Ex-smoker", "2026-09-22")
    made.visit("2026-06-16", "Primary care visit", "Yearly examination")
    made.visit("2026-09-22", "Dermatology visit", "Changed mole of the back")
    made.visit("2026-11-05", "Dermatology follow-up", "Results, two opinions of the slide")
    excision = {"text": "Excision of pigmented lesion, upper back left"}
    made.procedure("excision", excision, "2026-10-12", "Margin 2 mm, layered closure. No bleeding.")
    made.vitals("2026-06-16", (128, 80), {"pulse": 68, "weight": 70.4, "height": 169, "saturation": 98, "bmi": 24.6})
    made.vitals("2026-09-22", (132, 82), {"pulse": 72, "weight": 70.1, "saturation": 98, "bmi": 24.5})
    made.vitals("2026-11-05", (130, 80), {"pulse": 70, "weight": 69.8, "saturation": 98, "bmi": 24.4})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("1364430", "apixaban"), "Apixaban 5 mg tablet", "1 tablet twice daily", "2022-03-15")
    made.medicine(("6918", "metoprolol"), "Metoprolol succinate 25 mg tablet", "1 tablet daily", "2022-03-15")
    made.medicine(("301542", "rosuvastatin"), "Rosuvastatin 10 mg tablet", "1 tablet daily", "2025-01-14")
    made.medicine(
        ("77492", "tamsulosin"), "Tamsulosin 0.4 mg capsule", "1 capsule after the evening meal", "2021-01-12"
    )
