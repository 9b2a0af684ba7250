"""Nguyễn Thị Thu Hà, 29: a small papillary thyroid cancer, total thyroidectomy proposed; no outside images at all."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import MARSH
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import NGUYEN
from deploy.sandbox.hospitals import LAKESIDE

KEY = "nguyen"
DATES = [
    "2024-11-11", "2025-03-03", "2025-07-21", "2025-11-10", "2026-02-16", "2026-06-01", "2026-09-14", "2026-11-05",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "tsh": [3.1, 3.8, 4.9, 6.2, 6.8, 4.1, 2.6, 2.1],
    "ft4": [1.2, 1.1, 1.0, 0.9, 0.8, 1.1, 1.3, 1.3],
    "tg": [22.4, 24.8, 27.1, 31.6, 36.2, 38.9, 41.5, 43.0],
    "tgab": [38, 52, 74, 96, 118, 131, 142, 139],
    "ca": [9.3, 9.4, 9.2, 9.3, 9.4, 9.2, 9.3, 9.4],
    "pth": [38, 41, 36, 44, 39, 42, 40, 43],
    "vitd": [21, 24, 26, 29, 31, 30, 33, 34],
    "hb": [12.4, 12.6, 12.3, 12.8, 12.9, 12.7, 12.6, 12.8],
    "crea": [0.58, 0.6, 0.57, 0.61, 0.6, 0.62, 0.6, 0.61],
}

ULTRASOUND = """
ULTRASOUND OF THYROID AND NECK, 21 September 2026 (Lakeside Endocrinology)

FINDINGS: Thyroid of normal size, inhomogeneous, hypoechoic, as in chronic thyroiditis. Left lobe, middle third:
solid hypoechoic nodule, taller than wide, 14 x 11 x 12 mm, irregular border, punctate echogenic foci, 3 mm from the
capsule and not next to the trachea or the groove of the recurrent nerve. Right lobe: no nodule. Central and lateral
nodes: two left level VI nodes of 5 and 6 mm, round, without hilum, indeterminate. Levels II to V normal.

IMPRESSION: TI-RADS 5 nodule of the left lobe, 14 mm. Two small indeterminate nodes in level VI.
"""
XRAY_REPORT = """
CHEST RADIOGRAPH, TWO VIEWS, 5 October 2026

FINDINGS: Lungs clear. Trachea midline. Heart of normal size.

IMPRESSION: Normal.
"""
EARLIER_NOTE = """
ENDOCRINOLOGY, 14 September 2026, Dr. Olivia Marsh (Vietnamese interpreter by video)

S: Hashimoto's thyroiditis on levothyroxine 50 mcg. Feels a small lump on the left since July. Plans a pregnancy next
year. No radiation in childhood; her mother was operated on for "a goitre" in Huế in 1998, papers not available.
O: Firm nodule left, mobile. No palpable nodes. Voice normal. P: Ultrasound, fine-needle aspiration.
"""
PROGRESS = """
ENDOCRINOLOGY, 6 November 2026, Dr. Olivia Marsh (Vietnamese interpreter present)

S: Knows the diagnosis, is worried about the scar, the voice (teaches singing) and about waiting with a child.
O: 49.1 kg. Left nodule 1.5 cm. Laryngoscopy on 29 October: both vocal cords move well. FNA 5 October: papillary
carcinoma, Bethesda VI; BRAF V600E found. Calcitonin 1.2 pg/mL. TSH 2.1 on 50 mcg.

A: Papillary carcinoma of the left lobe, 14 mm, cT1b cN0 or N1a (two indeterminate nodes in level VI), Hashimoto's
thyroiditis. Our surgeon proposes total thyroidectomy, prophylactic central dissection on both sides, then radioiodine.
That puts her voice and parathyroids at risk and delays pregnancy by a year. I think that a lobectomy could do.
There are no images from elsewhere; our ultrasound pictures are only on the machine, the report is attached.
P: Second opinion: (1) lobectomy or total thyroidectomy, (2) central neck: sample the two nodes first or dissect one
side, (3) is radioiodine needed at all, (4) how long may surgery wait, and pregnancy before or after.
"""
REASON = """
Papillary carcinoma of the left thyroid lobe, 14 mm, BRAF V600E, Hashimoto's thyroiditis, pregnancy planned. Total
thyroidectomy with central dissection and radioiodine is proposed.

Question: lobectomy, central neck, radioiodine, timing with pregnancy.
"""


def cytology() -> Letter:
    """The cytologist's report."""
    return Letter(
        "Cytopathology report C26-08812",
        LAKESIDE.title,
        "Department of Pathology",
        (
            ("Patient", "Nguyễn, Thị Thu Hà, born 08/02/1997"),
            ("Specimen", "Left thyroid lobe, ultrasound-guided fine-needle aspiration, 3 passes"),
            ("Collected", "10/05/2026"),
        ),
        (
            ("Diagnosis", "Malignant (Bethesda VI): papillary thyroid carcinoma, classic features."),
            ("Description", "Papillary sheets, nuclear grooves and pseudo-inclusions, background of lymphocytes."),
            ("Molecular", "BRAF V600E: detected. TERT promoter: not detected. RET/PTC and NTRK fusions: not detected."),
        ),
        "Electronically signed by Martin Osei, MD, Pathology, 10/09/2026",
    )


def surgeon() -> Letter:
    """The surgeon's letter."""
    return Letter(
        "Surgical consultation",
        LAKESIDE.title,
        "Department of Surgery",
        (
            ("Patient", "Nguyễn, Thị Thu Hà, born 08/02/1997"),
            ("Date", "10/29/2026"),
            ("Interpreter", "Vietnamese, by video"),
        ),
        (
            (
                "Proposal",
                "Total thyroidectomy with bilateral prophylactic central neck dissection, then radioiodine 30 mCi. "
                "BRAF V600E and the two nodes are taken as reasons.",
            ),
            (
                "Risks discussed",
                "Hoarseness (lasting 1 to 2%), low calcium (lasting 3 to 5%), lifelong levothyroxine, pregnancy not "
                "earlier than 6 to 12 months after radioiodine.",
            ),
            ("Laryngoscopy", "Both vocal cords mobile."),
        ),
        "Electronically signed by Thomas Greer, MD, General Surgery",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, NGUYEN, LAKESIDE, MARSH, Payer("Northern Plains Health", "NPH-2917745"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    made.labs(["2026-10-08"], {"calcitonin": [1.2]}, name="calcitonin")
    made.imaging_report(
        "us-neck",
        concept(LOINC, "25010-0", "US Thyroid gland", "Ultrasound of thyroid and neck"),
        "2026-09-21",
        "Olivia Marsh, MD, Endocrinology",
        ULTRASOUND,
    )
    film = concept(LOINC, "36643-5", "XR Chest 2 Views")
    made.imaging_report("chest-xray", film, "2026-10-05", "Amir Rahimi, MD, Radiology", XRAY_REPORT)
    made.note("progress", "Endocrinology clinic note", "2026-09-14", EARLIER_NOTE)
    made.note("progress", "Endocrinology clinic note", "2026-11-06", PROGRESS)
    made.paper("pathology", "Cytopathology C26-08812", "2026-10-09", cytology())
    made.paper("consult", "Surgical consultation", "2026-10-29", surgeon())
    ccda.attach(made, LAKESIDE, "2026-11-06", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    cancer = ("255029007", "Papillary thyroid carcinoma", "C73")
    made.problem("thyroid-cancer", "Papillary thyroid carcinoma, left lobe, 14 mm, cT1b cNx", cancer, "2026-10-09")
    hashimoto = ("21983002", "Hashimoto thyroiditis", "E06.3")
    made.problem("hashimoto", "Hashimoto's thyroiditis", hashimoto, "2025-11-10")
    made.problem("pregnancy-plan", "Planning a pregnancy", ("", "", ""), "2026-09-14")
    hay = ("367498001", "Seasonal allergic rhinitis", "J30.2")
    made.problem("rhinitis", "Seasonal allergic rhinitis", hay, "2012-05-01")
    shellfish = concept(SNOMED, "300913006", "Allergy to shellfish", "Shrimp")
    made.allergy("shrimp", shellfish, concept(SNOMED, "247472004", "Weal", "Hives"), "mild", "low")
    made.smoking("266919005", "Never smoked tobacco", "2026-09-14")
    made.visit("2025-11-10", "Endocrinology, first visit", "Raised TSH")
    made.visit("2026-09-14", "Endocrinology follow-up", "Lump in the neck")
    made.visit("2026-11-06", "Endocrinology follow-up", "Results and treatment")
    aspiration = {"text": "Fine-needle aspiration of the left thyroid lobe, ultrasound-guided"}
    made.procedure("fna", aspiration, "2026-10-05", "Three passes, no haematoma.")
    made.procedure("laryngoscopy", {"text": "Flexible laryngoscopy"}, "2026-10-29", "Both vocal cords mobile.")
    made.vitals("2025-11-10", (104, 66), {"pulse": 64, "weight": 48.2, "height": 156, "saturation": 99, "bmi": 19.8})
    made.vitals("2026-09-14", (106, 68), {"pulse": 72, "weight": 48.9, "saturation": 99, "bmi": 20.1})
    made.vitals("2026-11-06", (110, 70), {"pulse": 78, "weight": 49.1, "saturation": 99, "bmi": 20.2})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(
        ("10582", "levothyroxine"), "Levothyroxine 25 mcg tablet", "1 tablet daily, fasting", "2025-11-10", "completed"
    )
    made.medicine(("10582", "levothyroxine"), "Levothyroxine 50 mcg tablet", "1 tablet daily, fasting", "2026-02-16")
    made.medicine(("", "folic-acid"), "Folic acid 0.4 mg tablet", "1 tablet daily", "2026-09-14")
    made.medicine(("", "cholecalciferol"), "Cholecalciferol 1,000 unit tablet", "1 tablet daily", "2024-11-11")
    made.medicine(("20610", "cetirizine"), "Cetirizine 10 mg tablet", "1 tablet daily as needed", "2019-04-15")
