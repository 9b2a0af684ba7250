"""Joaquín Moreno Ruiz, 71: severe stenosis of a bicuspid aortic valve and a wide aorta; catheter or open surgery."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import MEYER
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import MORENO
from deploy.sandbox.hospitals import NORTHFIELD

KEY = "moreno"
DATES = [
    "2024-11-26", "2025-03-04", "2025-06-24", "2025-10-21", "2026-02-17", "2026-06-02", "2026-09-15", "2026-11-05",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb-male": [14.8, 14.6, 14.7, 14.4, 14.2, 14.0, 13.8, 13.7],
    "plt": [232, 226, 229, 218, 214, 209, 204, 206],
    "crea": [0.96, 0.98, 1.0, 1.02, 1.05, 1.08, 1.13, 1.1],
    "egfr": [86, 83, 81, 79, 76, 73, 69, 72],
    "na": [141, 140, 141, 139, 140, 139, 138, 139],
    "k": [4.2, 4.3, 4.1, 4.4, 4.3, 4.5, 4.6, 4.4],
    "bnp": [240, 290, 365, 520, 790, 1180, 1720, 1640],
    "ldl": [124, 96, 82, 74, 71, 69, 68, 66],
    "a1c": [5.7, 5.8, 5.7, 5.9, 5.8, 5.9, 5.8, 5.9],
    "alt": [24, 26, 23, 25, 27, 26, 28, 27],
    "alb": [4.3, 4.2, 4.3, 4.2, 4.1, 4.1, 4.0, 4.0],
    "crp": [1.8, 2.1, 1.6, 2.4, 2.2, 2.0, 2.6, 2.3],
}

ECHO_REPORT = """
TRANSTHORACIC ECHOCARDIOGRAM, 6 October 2026 (St. Anna Hospital)

FINDINGS: Aortic valve heavily calcified, opening like a fish mouth, probably bicuspid with a raphe between the right
and left cusp. Peak velocity 4.6 m/s, mean gradient 52 mmHg, valve area 0.72 cm2 (0.38 cm2/m2). Regurgitation mild.
Left ventricle not dilated, septum 14 mm, ejection fraction 56%, global strain -14%. Ascending aorta 45 mm. Mitral valve
with mild regurgitation. RVSP 38 mmHg.

IMPRESSION: Severe aortic stenosis, probably bicuspid. Left ventricular hypertrophy. Ascending aorta dilated.
"""
CT_REPORT = """
CT OF AORTIC ROOT, AORTA AND ILIAC ARTERIES, ECG-GATED, 15 October 2026 (St. Anna Hospital)

TECHNIQUE: Systolic phase 0.6 mm, 70 mL iohexol 350.

FINDINGS: Bicuspid valve, type 1, raphe between right and left cusp, raphe calcified (9 mm). Calcium score 3,980.
Annulus 28 x 24 mm, perimeter 82 mm, area 528 mm2 (mean diameter 26 mm). Sinus 37 mm, sinotubular junction 34 mm.
Ascending aorta 46 mm at the level of the right pulmonary artery, arch 33 mm. Height of the left coronary artery 12
mm, of the right 15 mm. Calcium reaches into the outflow tract below the left cusp. Iliac arteries 8 mm, straight, few
calcifications. LAD with calcified plaque, stenosis not to be judged. Lungs: scar of the right upper lobe, 6 mm, stable
since 2019, when the ascending aorta measured 42 mm.

IMPRESSION: Bicuspid aortic valve type 1 with calcified raphe. Ascending aorta 46 mm. Transfemoral access possible.
"""
EARLIER_NOTE = """
CARDIOLOGY CLINIC, 15 September 2026, Dr. Paul Meyer (Spanish interpreter present)

S: Short of breath uphill since spring, once nearly fainted carrying wood. O: Systolic murmur 4/6 into the neck, late
peak, second sound soft. NT-proBNP 1,720. P: Echocardiogram, CT, catheter.
"""
PROGRESS = """
CARDIOLOGY CLINIC, 6 November 2026, Dr. Paul Meyer (Spanish interpreter present; wife Pilar)

S: NYHA II to III, no syncope since. Retired carpenter, works in his vineyard, wants to go on for years. Skin reaction
to nickel buttons since youth.
O: BP 138/78, pulse 72 regular, 78.3 kg. Gait speed 1.2 m/s, not frail. STS predicted mortality 1.9%. Coronary
angiography 27 October: LAD 50 to 60% mid, FFR 0.84; else no relevant stenosis.

A: Severe symptomatic stenosis of a bicuspid aortic valve (type 1, calcified raphe), ascending aorta 46 mm, low surgical
risk, 71 years. Our heart team proposes transfemoral TAVI because of his age; the surgeon was on leave. I wonder: the
trials left bicuspid valves out, calcium of raphe and outflow tract raises the risk of leak and stroke, and TAVI leaves
an aorta of 46 mm behind. Guidelines name 45 mm if the valve is operated on anyway. And nickel: most frames are nitinol.
P: Second opinion: (1) TAVI or open replacement, (2) replace the ascending aorta at the same time, (3) which
prosthesis at 71 and with the nickel allergy, (4) does the LAD need a graft, (5) how soon.
"""
REASON = """
Severe stenosis of a bicuspid aortic valve with an ascending aorta of 46 mm, low surgical risk. TAVI is proposed.

Question: TAVI or open surgery, ascending aorta, choice of prosthesis with nickel allergy, LAD.
"""


def angiography() -> Letter:
    """The catheter laboratory's report."""
    return Letter(
        "Cardiac catheterization report",
        NORTHFIELD.title,
        "Cardiac Catheterization Laboratory",
        (
            ("Patient", "Moreno Ruiz, Joaquín, born 03/19/1955"),
            ("Date", "10/27/2026"),
            ("Access", "Right radial artery 6 F"),
        ),
        (
            (
                "Coronary arteries",
                "Left main: normal. LAD: 50 to 60% mid, FFR 0.84. Circumflex: no relevant stenosis. "
                "RCA: dominant, 30% proximal.",
            ),
            ("Right heart", "RA 6, RV 38/7, PA 36/16 mean 23, PCWP 15 mmHg. Cardiac index 2.4 L/min/m2."),
            ("Valve", "Not crossed; echocardiography is conclusive."),
        ),
        "Electronically signed by Graham Doyle, MD, Interventional Cardiology",
    )


def heart_team() -> Letter:
    """What the local heart team proposes."""
    return Letter(
        "Heart team conference",
        NORTHFIELD.title,
        "Division of Cardiology",
        (
            ("Patient", "Moreno Ruiz, Joaquín, born 03/19/1955"),
            ("Date", "11/03/2026"),
            ("Present", "Cardiology, interventional cardiology, imaging; cardiac surgery excused"),
        ),
        (
            (
                "Proposal",
                "Transfemoral TAVI, self-expanding prosthesis 29 mm, on 12/08/2026. Aorta to be followed by CT "
                "every year. LAD treated with drugs.",
            ),
            ("Risk", "STS 1.9%, EuroSCORE II 1.6%. Pacemaker risk raised by calcium below the left cusp."),
            ("Remark", "Dr. Meyer asks for a surgical opinion before a date is confirmed."),
        ),
        "Recorded by Graham Doyle, MD, Interventional Cardiology",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, MORENO, NORTHFIELD, MEYER, Payer("Medicare Part B", "3KH9-CV2-PL64"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    echo = concept(LOINC, "42148-7", "US Heart", "Transthoracic echocardiogram")
    made.imaging_report("echo", echo, "2026-10-06", "St. Anna Hospital, Cardiology", ECHO_REPORT)
    root = {"text": "CT aortic root and aorta, ECG-gated"}
    made.imaging_report("ct-root", root, "2026-10-15", "St. Anna Hospital, Radiology", CT_REPORT)
    made.note("progress", "Cardiology clinic note", "2026-09-15", EARLIER_NOTE)
    made.note("progress", "Cardiology clinic note", "2026-11-06", PROGRESS)
    made.paper("procedure", "Cardiac catheterization", "2026-10-27", angiography())
    made.paper("conference", "Heart team conference", "2026-11-03", heart_team())
    ccda.attach(made, NORTHFIELD, "2026-11-06", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    stenosis = ("60573004", "Aortic valve stenosis", "I35.0")
    made.problem("stenosis", "Severe aortic stenosis, symptomatic", stenosis, "2026-10-06")
    bicuspid = ("72352009", "Bicuspid aortic valve", "")
    made.problem("bicuspid", "Bicuspid aortic valve, type 1 (R-L)", bicuspid, "2019-05-14")
    made.problem("aorta", "Ascending aorta dilated to 46 mm, 42 mm in 2019", ("", "", "I71.21"), "2019-05-14")
    made.problem("hypertension", "Essential hypertension", ("59621000", "Essential hypertension", "I10"), "2010-02-22")
    made.problem("lipids", "Hyperlipidemia", ("55822004", "Hyperlipidemia", "E78.5"), "2012-11-05")
    rash = concept(SNOMED, "271807003", "Eruption of skin", "Contact eczema")
    made.allergy("nickel", {"text": "Nickel"}, rash, "mild", "low")
    swelling = {"text": "Cough, swelling of the tongue"}
    made.allergy("lisinopril", {"text": "Lisinopril (ACE inhibitors)"}, swelling, "severe", "high")
    made.smoking("8517006", "Ex-smoker", "2026-11-06")
    made.visit("2026-06-02", "Primary care visit", "Short of breath uphill")
    made.visit("2026-09-15", "Cardiology visit", "Murmur, breathlessness")
    made.visit("2026-11-06", "Cardiology follow-up", "Severe aortic stenosis")
    angiogram = concept(
        SNOMED, "33367005", "Angiography of coronary artery", "Coronary angiography, right heart catheter"
    )
    made.procedure("angiography", angiogram, "2026-10-27", "LAD 50 to 60%, FFR 0.84.")
    made.vitals("2026-02-17", (146, 84), {"pulse": 70, "weight": 80.2, "height": 172, "saturation": 97, "bmi": 27.1})
    made.vitals("2026-09-15", (140, 80), {"pulse": 74, "weight": 79.0, "saturation": 96, "bmi": 26.7})
    made.vitals("2026-11-06", (138, 78), {"pulse": 72, "weight": 78.3, "saturation": 97, "bmi": 26.5})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("52175", "losartan"), "Losartan 50 mg tablet", "1 tablet daily", "2015-03-09")
    made.medicine(("6918", "metoprolol"), "Metoprolol succinate 25 mg tablet", "1 tablet daily", "2026-10-08")
    made.medicine(("83367", "atorvastatin"), "Atorvastatin 40 mg tablet", "1 tablet at bedtime", "2025-01-20")
    made.medicine(("1191", "aspirin"), "Aspirin 81 mg tablet", "1 tablet daily", "2026-10-27")
    made.medicine(("4603", "furosemide"), "Furosemide 20 mg tablet", "1 tablet in the morning", "2026-09-15")
