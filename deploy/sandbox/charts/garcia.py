"""María José García-Ibáñez, 46: lobular carcinoma of the left breast, mastectomy proposed without an MRI."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, RXNORM, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import DELGADO
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import GARCIA
from deploy.sandbox.hospitals import LAKESIDE

KEY = "garcia"
DATES = [
    "2024-11-25", "2025-03-10", "2025-07-14", "2025-11-17", "2026-02-23", "2026-06-08", "2026-10-14", "2026-11-04",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [9.8, 10.9, 11.8, 12.3, 12.6, 12.4, 12.1, 12.2],
    "wbc": [6.2, 5.9, 6.4, 6.1, 5.8, 6.6, 6.9, 6.5],
    "plt": [342, 318, 296, 281, 274, 268, 279, 272],
    "ferritin": [5, 11, 19, 27, 34, 31, 24, 26],
    "crea": [0.68, 0.7, 0.66, 0.71, 0.69, 0.72, 0.7, 0.68],
    "alt": [18, 21, 19, 22, 20, 24, 23, 21],
    "alp": [62, 60, 64, 66, 63, 68, 71, 70],
    "ca": [9.2, 9.3, 9.1, 9.4, 9.3, 9.2, 9.4, 9.3],
    "ca153": [14.1, 14.6, 13.9, 15.2, 16.8, 19.4, 23.7, 24.9],
    "tsh": [2.4, 2.1, 2.6, 2.3, 2.2, 2.5, 2.4, 2.3],
    "vitd": [18, 24, 31, 29, 27, 33, 30, 31],
}

MAMMOGRAM = """
DIAGNOSTIC MAMMOGRAM, BOTH BREASTS, 19 October 2026 (St. Anna Hospital; report received by fax)

INDICATION: Firm area in the left breast felt by the patient for three months. Mother with breast cancer at 49.

TECHNIQUE: CC and MLO views of both breasts. Comparison: screening mammogram of March 2024 (not available).

FINDINGS: Extremely dense fibroglandular tissue (ACR d). Left upper outer quadrant: spiculated density with
architectural distortion, about 28 mm, seen best on the CC view. No suspicious calcifications. Skin and nipple
normal. Right breast: no mass, no distortion. No enlarged axillary node in the field.

IMPRESSION: Left breast BI-RADS 5, right breast BI-RADS 1. The density of the breast limits what can be said about
further foci. Ultrasound and core biopsy recommended.
"""
ULTRASOUND = """
ULTRASOUND OF THE LEFT BREAST AND AXILLA, 19 October 2026 (St. Anna Hospital)

FINDINGS: At 2 o'clock, 6 cm from the nipple, irregular hypoechoic mass with shadowing, 26 x 19 x 17 mm, not
parallel to the skin. A second, indistinct hypoechoic area of 7 mm at 3 o'clock, 4 cm from the nipple. Axillary nodes
with preserved hilum, cortex up to 2.5 mm.

IMPRESSION: Left breast mass highly suspicious of malignancy. The second area was not biopsied. Axilla clinically
negative.
"""
FIRST_NOTE = """
BREAST SURGERY, 14 October 2026, Dr. Carmen Delgado (Spanish interpreter present)

S: Left breast feels "thicker" since July. No nipple discharge, no skin change. Menarche 12, two children (first at
31), regular heavy periods, levonorgestrel IUD since 2023. Mother breast cancer at 49, died at 58. Mother's sister
ovarian cancer at 52.
O: Ill-defined firm area of 3 cm, left upper outer quadrant. No palpable nodes.
A: Must be cleared quickly. P: Mammogram, ultrasound, core biopsy at St. Anna (earliest appointment).
"""
PROGRESS = """
BREAST SURGERY, 6 November 2026, Dr. Carmen Delgado (Spanish interpreter present)

S: Diagnosis explained with her husband and the interpreter. She is frightened and asks whether the whole breast has
to go. Works as a school cook, right-handed. Does not wish further children.
O: 64.2 kg, ECOG 0. Core biopsy: invasive lobular carcinoma, grade 2, E-cadherin negative, ER 95%, PR 80%, HER2 1+,
Ki-67 14%. IUD removed on 5 November.

A: Left invasive lobular carcinoma, cT2 (28 mm) cN0, luminal. Our board proposes mastectomy with sentinel node biopsy
"because lobular cancers are larger than they look". No MRI was made. A second area of 7 mm at 3 o'clock is not
explained. Genetic counselling is booked for 3 December, after the date offered for surgery (24 November).
P: Second opinion: (1) does she need an MRI and biopsy of the second area before anything is decided, (2) is breast
conservation possible, perhaps after endocrine treatment, (3) should surgery wait for the BRCA result, (4) is a
genomic test useful for the question of chemotherapy.
"""
REASON = """
Left invasive lobular carcinoma, cT2 cN0, ER and PR positive, HER2 negative. Mastectomy is proposed for 24 November.

Question: MRI before surgery, breast conservation, genetic result first, genomic test.
"""


def pathology() -> Letter:
    """The core biopsy's report."""
    return Letter(
        "Surgical pathology report S26-21377",
        LAKESIDE.title,
        "Department of Pathology",
        (
            ("Patient", "García-Ibáñez, María José, born 05/17/1980"),
            ("Specimen", "Left breast, 2 o'clock, ultrasound-guided core biopsy, 5 cores"),
            ("Collected", "10/28/2026"),
        ),
        (
            (
                "Diagnosis",
                "Left breast, core biopsy: invasive lobular carcinoma, classic type, Nottingham grade 2 "
                "(3 + 2 + 1), in 4 of 5 cores, longest 14 mm. Lobular carcinoma in situ, classic, focal.",
            ),
            (
                "Immunohistochemistry",
                "E-cadherin: lost. Estrogen receptor: 95%, strong. Progesterone receptor: 80%, strong. "
                "HER2: 1+ (negative). Ki-67: 14%.",
            ),
            ("Comment", "Lobular growth is often larger than imaging shows; correlation with MRI may help."),
        ),
        "Electronically signed by Martin Osei, MD, Pathology, 10/30/2026",
    )


def board() -> Letter:
    """What the local tumour board proposes."""
    return Letter(
        "Multidisciplinary breast conference",
        LAKESIDE.title,
        "Breast Center",
        (
            ("Patient", "García-Ibáñez, María José, born 05/17/1980"),
            ("Date", "11/05/2026"),
            ("Present", "Surgery, radiology, pathology, medical oncology, radiation oncology"),
        ),
        (
            (
                "Summary",
                "46 years, premenopausal, invasive lobular carcinoma of the left breast, 28 mm, ER+ PR+ HER2-, cN0. "
                "Family history of breast and ovarian cancer in the mother's line.",
            ),
            (
                "Proposal",
                "Left mastectomy with sentinel lymph node biopsy on 11/24/2026, reconstruction later. "
                "Adjuvant tamoxifen. Chemotherapy to be decided on the final stage.",
            ),
            ("Dissent", "Medical oncology asked for an MRI and for the genetic result before surgery."),
        ),
        "Recorded by Carmen Delgado, MD, Breast Surgery",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, GARCIA, LAKESIDE, DELGADO, Payer("Northern Plains Health", "NPH-3310972"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    mammogram = concept(LOINC, "26346-7", "MG Breast - bilateral Diagnostic", "Diagnostic mammogram, both breasts")
    made.imaging_report("mammogram", mammogram, "2026-10-19", "St. Anna Hospital, Radiology", MAMMOGRAM)
    sonogram = concept(LOINC, "26215-4", "US Breast - left", "Ultrasound of left breast and axilla")
    made.imaging_report("us-breast", sonogram, "2026-10-19", "St. Anna Hospital, Radiology", ULTRASOUND)
    made.note("history", "Breast surgery, first visit", "2026-10-14", FIRST_NOTE)
    made.note("progress", "Breast surgery clinic note", "2026-11-06", PROGRESS)
    made.paper("pathology", "Surgical pathology S26-21377", "2026-10-30", pathology())
    made.paper("conference", "Multidisciplinary breast conference", "2026-11-05", board())
    ccda.attach(made, LAKESIDE, "2026-11-06", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    cancer = ("278054005", "Infiltrating lobular carcinoma of breast", "C50.412")
    made.problem("breast-cancer", "Invasive lobular carcinoma, left breast, cT2 cN0", cancer, "2026-10-30")
    made.problem(
        "iron", "Iron deficiency anemia from heavy periods, treated", ("271737000", "Anemia", "D50.9"), "2024-11-25"
    )
    made.problem("family", "Family history of breast and ovarian cancer, mother's line", ("", "", ""), "2026-10-14")
    made.problem("migraine", "Migraine without aura", ("37796009", "Migraine", "G43.009"), "2005-04-01")
    latex = concept(SNOMED, "1003755004", "Allergy to Hevea brasiliensis latex protein", "Natural rubber latex")
    made.allergy("latex", latex, concept(SNOMED, "418290006", "Itching", "Itching and wheals"), "moderate", "high")
    made.allergy(
        "naproxen",
        concept(RXNORM, "7258", "naproxen", "Naproxen"),
        {"text": "Swelling of the lips"},
        "moderate",
        "high",
    )
    made.smoking("266919005", "Never smoked tobacco", "2026-10-14")
    made.visit("2024-11-25", "Primary care visit", "Tiredness, heavy periods")
    made.visit("2026-10-14", "Breast surgery, first visit", "Lump in the left breast")
    made.visit("2026-11-06", "Breast surgery follow-up", "Results and treatment")
    biopsy = concept(SNOMED, "122548005", "Biopsy of breast", "Core biopsy of the left breast, ultrasound-guided")
    made.procedure("biopsy", biopsy, "2026-10-28", "Five cores, marker clip placed. No complication.")
    made.vitals("2025-07-14", (114, 70), {"pulse": 70, "weight": 65.8, "height": 159, "saturation": 99, "bmi": 26.0})
    made.vitals("2026-10-14", (122, 76), {"pulse": 82, "weight": 64.9, "saturation": 99, "bmi": 25.7})
    made.vitals("2026-11-06", (126, 78), {"pulse": 86, "weight": 64.2, "saturation": 98, "bmi": 25.4})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("", "ferrous-sulfate"), "Ferrous sulfate 325 mg tablet", "1 tablet every other day", "2024-11-25")
    made.medicine(("161", "acetaminophen"), "Acetaminophen 500 mg tablet", "1 to 2 tablets as needed", "2025-03-10")
    made.medicine(("37418", "sumatriptan"), "Sumatriptan 50 mg tablet", "1 tablet at onset of migraine", "2019-05-20")
    made.medicine(
        ("6373", "levonorgestrel"),
        "Levonorgestrel 52 mg intrauterine system",
        "In place 8 years; removed 11/05/2026",
        "2023-06-12",
        "stopped",
    )
