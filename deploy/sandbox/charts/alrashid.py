"""Layla Al-Rashid (ليلى الراشد), 34: probably Takayasu's arteritis, a narrow renal artery, and a wish for a child."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import STONE
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import ALRASHID
from deploy.sandbox.hospitals import NORTHFIELD

KEY = "alrashid"
DATES = [
    "2024-12-16", "2025-04-07", "2025-08-18", "2025-12-01", "2026-02-23", "2026-05-11", "2026-08-17", "2026-11-03",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [11.9, 11.4, 10.8, 10.1, 10.9, 11.6, 11.1, 10.7],
    "wbc": [7.8, 8.1, 8.9, 9.4, 12.6, 10.2, 9.7, 9.9],
    "plt": [318, 352, 401, 468, 402, 331, 389, 427],
    "esr": [34, 48, 62, 86, 28, 19, 47, 64],
    "crp": [9.4, 16.8, 27.5, 48.2, 8.6, 4.1, 18.9, 31.7],
    "ferritin": [62, 88, 121, 164, 118, 92, 126, 158],
    "crea": [0.71, 0.74, 0.78, 0.84, 0.86, 0.88, 0.93, 0.98],
    "egfr": [116, 109, 103, 94, 91, 88, 83, 78],
    "k": [4.1, 4.0, 3.8, 3.6, 3.5, 3.7, 3.6, 3.4],
    "alt": [19, 18, 21, 20, 26, 34, 42, 46],
    "alb": [4.1, 4.0, 3.8, 3.6, 3.9, 4.1, 3.8, 3.7],
    "glu": [88, 90, 91, 94, 112, 106, 101, 104],
}

CT_REPORT = """
CT ANGIOGRAPHY OF THE AORTA AND ITS BRANCHES, 8 October 2026 (St. Anna Hospital)

INDICATION: Woman of 34, blood pressure differs between the arms, hypertension, raised inflammatory markers.

TECHNIQUE: Arterial phase, neck to pelvis, 1 mm, 90 mL iomeprol 400. No earlier CT for comparison.

FINDINGS: Concentric thickening of the wall of the aortic arch (4 mm) and of the left common carotid artery (3.5 mm,
lumen narrowed by 40%). Left subclavian artery: smooth narrowing over 5 cm beyond the vertebral artery, 80%, with
collaterals. Descending and abdominal aorta: wall 3 mm down to the renal arteries. Left renal artery: ostial stenosis
of 70%; left kidney 9.6 cm, right 11.1 cm. Coeliac trunk and superior mesenteric artery free. No aneurysm, no
calcification of the wall. Lungs, retroperitoneum and perirenal fat normal. No bone lesion.

IMPRESSION: Large-vessel vasculitis, in pattern and age most in keeping with Takayasu's arteritis (type V).
High-grade stenosis of the left subclavian artery, stenosis of the left renal artery. Activity of the wall cannot be
judged by CT alone.
"""
DOPPLER_REPORT = """
DUPLEX OF NECK, ARM AND RENAL ARTERIES, 24 August 2026

FINDINGS: Left common carotid artery with concentric wall of 2.1 mm ("macaroni sign"), no relevant flow
acceleration. Left subclavian: monophasic signal. Left renal artery: peak velocity 310 cm/s, renal-aortic ratio 4.1.

IMPRESSION: Signs of large-vessel vasculitis. Left renal artery stenosis above 60%.
"""
EARLIER_NOTE = """
INTERNAL MEDICINE, 17 August 2026, Dr. Judith Stone (Arabic interpreter by telephone)

S: Headache, left arm tires when hanging laundry, weight loss of 4 kg in a year. In December fever of unknown cause
and CRP 48; prednisone 40 mg helped within days. On tapering below 15 mg everything returned.
O: BP right 156/94, left 118/72. Left radial pulse weak. Bruit above the left clavicle. P: duplex, CT angiography,
rheumatology. Methotrexate 15 mg weekly since May; effective contraception agreed.
"""
PROGRESS = """
INTERNAL MEDICINE, 4 November 2026, Dr. Judith Stone (Arabic interpreter present; husband with her)

S: Left arm claudication, light-headed on standing twice. Married three years, hopes for a child soon, and asks above
all whether she may become pregnant and which drugs she may take then.
O: BP right 162/96, left 120/74, both legs 170 systolic. Left radial pulse barely felt. CRP 31.7, ESR 64 on
prednisone 20 mg and methotrexate 15 mg weekly. Creatinine 0.98, was 0.71 two years ago. Urine without protein.

A: Probable Takayasu's arteritis, active in spite of steroid and methotrexate. Not excluded: IgG4-related disease
(IgG4 pending), infection (Quantiferon negative, syphilis serology negative), fibromuscular dysplasia of the renal
artery alone. Our rheumatologist proposes tocilizumab and a stent of the renal artery in December. I am unsure about a
stent into an inflamed vessel, and about the order of things in view of her wish for a child.
P: Second opinion: (1) is it Takayasu, and is PET or biopsy needed, (2) next drug, also with a view to pregnancy,
(3) when and how to treat the renal artery, (4) losartan and methotrexate must be replaced when, (5) follow-up.
"""
REASON = """
Probable Takayasu's arteritis (type V), active under prednisone and methotrexate; left renal artery stenosis with
hypertension; wish for a child.

Question: diagnosis, next drug with a view to pregnancy, when and how to treat the renal artery.
"""


def rheumatology() -> Letter:
    """The rheumatologist's letter."""
    return Letter(
        "Rheumatology consultation",
        NORTHFIELD.title,
        "Division of Rheumatology",
        (
            ("Patient", "Al-Rashid, Layla, born 02/08/1992"),
            ("Date", "10/22/2026"),
            ("Interpreter", "Arabic, by telephone"),
        ),
        (
            (
                "Assessment",
                "2022 ACR/EULAR criteria for Takayasu's arteritis: age at onset up to 60, imaging of large-vessel "
                "vasculitis (entry); female 1, claudication of the arm 2, vascular bruit 2, reduced pulse 2, "
                "difference of systolic pressure of 20 mmHg or more 1, three arterial territories or more 3, abdominal "
                "aorta together with a renal artery 3. Total 14 (5 suffice).",
            ),
            (
                "Proposal",
                "Tocilizumab 162 mg weekly, continue methotrexate, taper prednisone to 5 mg in six months. Stent of "
                "the left renal artery by vascular surgery in December.",
            ),
            ("Open", "Serum IgG4, HLA-B*52, PET not covered so far. Pregnancy was not discussed in detail."),
        ),
        "Electronically signed by Victor Lane, MD, Rheumatology",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, ALRASHID, NORTHFIELD, STONE, Payer("Casco Bay Health Plan", "CBH-118204"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    angiogram = {"text": "CT angiography, aorta and branches"}
    made.imaging_report("cta", angiogram, "2026-10-08", "St. Anna Hospital, Radiology", CT_REPORT)
    duplex = {"text": "Duplex, neck, arm and renal arteries"}
    made.imaging_report("duplex", duplex, "2026-08-24", "Leyla Aydin, MD, Radiology", DOPPLER_REPORT)
    made.note("progress", "Internal medicine clinic note", "2026-08-17", EARLIER_NOTE)
    made.note("progress", "Internal medicine clinic note", "2026-11-04", PROGRESS)
    made.paper("consult", "Rheumatology consultation", "2026-10-22", rheumatology())
    ccda.attach(made, NORTHFIELD, "2026-11-04", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    takayasu = ("359789008", "Takayasu's disease", "M31.4")
    made.suspected("takayasu", "Probable Takayasu's arteritis, type V, active", takayasu, "2026-10-08")
    renal = ("123799005", "Renovascular hypertension", "I15.0")
    made.problem("renal", "Hypertension with left renal artery stenosis of 70%", renal, "2026-08-24")
    made.problem("subclavian", "Left subclavian artery stenosis, 80%", ("", "", ""), "2026-08-24")
    made.problem("anemia", "Anemia of inflammation", ("271737000", "Anemia", "D63.8"), "2025-08-18")
    made.problem("child", "Wish for a child", ("", "", ""), "2026-05-11")
    rash = concept(SNOMED, "271807003", "Eruption of skin", "Rash with fever")
    made.allergy("sulfonamide", concept(SNOMED, "91939003", "Allergy to sulfonamide"), rash, "moderate", "high")
    made.smoking("266919005", "Never smoked tobacco", "2026-08-17")
    made.visit("2025-12-01", "Internal medicine visit", "Fever, loss of weight")
    made.visit("2026-08-17", "Internal medicine follow-up", "Headache, tired left arm")
    made.visit("2026-11-04", "Internal medicine follow-up", "Results of CT angiography")
    made.procedure("eye", {"text": "Fundoscopy"}, "2026-09-02", "No ischaemic change, slight narrowing of arterioles.")
    made.vitals("2025-12-01", (138, 84), {"pulse": 96, "weight": 57.8, "height": 162, "temperature": 38.1, "bmi": 22.0})
    made.vitals("2026-08-17", (156, 94), {"pulse": 84, "weight": 56.2, "saturation": 99, "bmi": 21.4})
    made.vitals("2026-11-04", (162, 96), {"pulse": 82, "weight": 55.4, "temperature": 37.2, "bmi": 21.1})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("8640", "prednisone"), "Prednisone 20 mg tablet", "1 tablet in the morning", "2025-12-03")
    made.medicine(
        ("6851", "methotrexate"), "Methotrexate 2.5 mg tablet", "6 tablets once a week, Mondays", "2026-05-11"
    )
    made.medicine(("", "folic-acid"), "Folic acid 5 mg tablet", "1 tablet once a week, Tuesdays", "2026-05-11")
    made.medicine(("52175", "losartan"), "Losartan 50 mg tablet", "1 tablet daily", "2026-08-24")
    made.medicine(("17767", "amlodipine"), "Amlodipine 10 mg tablet", "1 tablet daily", "2026-02-23")
    made.medicine(("1191", "aspirin"), "Aspirin 81 mg tablet", "1 tablet daily", "2026-10-12")
    made.medicine(("7646", "omeprazole"), "Omeprazole 20 mg capsule", "1 capsule daily", "2025-12-03")
