"""Thomas O'Neill, 73: severe mitral regurgitation by a flail leaflet, replacement proposed, perhaps repairable."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart, organization
from deploy.sandbox.charts.clinicians import MEYER
from deploy.sandbox.charts.letter import Letter, as_pdf
from deploy.sandbox.charts.patient import Registration, coverage, patient
from deploy.sandbox.hospitals import NORTHFIELD

KEY = "oneill"
DATES = [
    "2024-12-10", "2025-03-11", "2025-06-17", "2025-10-14", "2026-02-03", "2026-06-09", "2026-09-22", "2026-11-03",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [14.2, 14.0, 13.9, 13.8, 13.6, 13.3, 13.0, 12.9],
    "plt": [221, 214, 219, 208, 211, 203, 206, 199],
    "crea": [1.18, 1.22, 1.25, 1.31, 1.34, 1.42, 1.49, 1.46],
    "na": [139, 140, 139, 138, 138, 137, 136, 137],
    "k": [4.5, 4.6, 4.4, 4.7, 4.8, 4.9, 5.0, 4.8],
    "glu": [128, 134, 122, 131, 126, 119, 124, 121],
    "a1c": [7.4, 7.3, 7.1, 7.0, 6.9, 6.8, 6.9, 6.8],
    "bnp": [310, 340, 395, 520, 690, 1120, 1840, 1610],
    "alt": [24, 26, 22, 25, 27, 24, 28, 26],
    "alb": [4.1, 4.2, 4.1, 4.0, 4.0, 3.9, 3.8, 3.9],
}

ECHO_REPORT = """
TRANSTHORACIC ECHOCARDIOGRAM, 2 November 2026 (St. Anna Hospital)

FINDINGS: Left ventricle dilated, end-diastolic diameter 61 mm, end-systolic 41 mm, ejection fraction 58%
(biplane). Left atrium severely dilated, 58 mL/m2. Flail of the posterior mitral leaflet, scallop P2, ruptured
chord; eccentric jet towards the septum reaching the pulmonary veins. EROA 0.46 cm2, regurgitant volume 68 mL.
Tricuspid regurgitation mild to moderate, annulus 41 mm, RVSP 52 mmHg. Aortic valve normal. No pericardial
effusion.

IMPRESSION: Severe primary mitral regurgitation, flail P2. Left ventricle at the threshold for surgery (LVESD 41
mm). Pulmonary hypertension. Tricuspid annulus dilated.
"""
XRAY_REPORT = """
CHEST RADIOGRAPH, TWO VIEWS, 22 September 2026

FINDINGS: Heart enlarged, left atrial contour prominent. Upper lobe vessels distended. Small effusion in the
left costophrenic angle.

IMPRESSION: Cardiomegaly with mild pulmonary venous congestion.
"""
PROGRESS = """
CARDIOLOGY CLINIC, 6 November 2026, Dr. Paul Meyer

S: Breathless on one flight (NYHA II to III) since summer. Two episodes of palpitations. No angina, no syncope.
O: BP 118/70, pulse 78 irregular, 88.2 kg. Holosystolic murmur 4/6 at the apex to the base. Ankle oedema trace.
ECG: atrial fibrillation 76/min. Coronary angiography 27 October: no stenosis above 50%. STS predicted
mortality: replacement 4.6%, repair 2.9%.

A: Severe primary MR, flail P2, symptoms, LVESD 41 mm, paroxysmal AF, CKD 3a: surgery is indicated (class 1).
The local surgeon plans a bioprosthetic replacement through a sternotomy "because of age and annular
calcification". I believe that P2 flail at 73 is repairable, and wonder about the tricuspid ring, AF ablation
and closure of the appendage.
P: Second opinion from a mitral centre on repair against replacement, access, and concomitant procedures.
"""


def angiography() -> Letter:
    """The catheter laboratory's report."""
    return Letter(
        "Cardiac catheterization report",
        NORTHFIELD.title,
        "Cardiac Catheterization Laboratory",
        (
            ("Patient", "O'Neill, Thomas Aloysius, born 07/02/1953"),
            ("Date", "10/27/2026"),
            ("Access", "Right radial artery 6 F, right brachial vein 5 F"),
        ),
        (
            (
                "Coronary arteries",
                "Left main: normal. LAD: 30% mid. Circumflex: 20% proximal, dominant right system. RCA: 40% mid. "
                "No stenosis needs revascularization.",
            ),
            (
                "Right heart",
                "RA 9, RV 54/10, PA 52/24 mean 34, PCWP 24 with v waves to 46 mmHg. Cardiac index 2.2 L/min/m2.",
            ),
            ("Left ventriculography", "4+ mitral regurgitation. Ejection fraction 60%."),
            ("Fluoroscopy", "Mild calcification of the posterior mitral annulus, less than one third of its length."),
        ),
        "Electronically signed by Graham Doyle, MD, Interventional Cardiology",
    )


REASON = """
Severe primary mitral regurgitation by a flail P2 scallop, symptoms, LVESD 41 mm. Replacement through a
sternotomy is proposed.

Question: repair against replacement, access, tricuspid ring, ablation and closure of the appendage.
"""


def chart() -> list[Resource]:
    """All of the chart."""
    made = Chart(KEY, MEYER, organization(NORTHFIELD))
    who = Registration("00731648", "O'Neill", ("Thomas", "Aloysius"), "male", "1953-07-02")
    made.add("Patient", "", patient(who, NORTHFIELD, MEYER))
    made.add("Coverage", "coverage", coverage(KEY, "Medicare Part B", "1EG4-TE5-MK73"))
    history(made)
    made.labs(DATES, LABS)
    echo = concept(LOINC, "42148-7", "US Heart", "Transthoracic echocardiogram")
    made.imaging_report("echo", echo, "2026-11-02", "St. Anna Hospital, Cardiology", ECHO_REPORT)
    film = concept(LOINC, "36643-5", "XR Chest 2 Views")
    made.imaging_report("chest-xray", film, "2026-09-22", "Leyla Aydin, MD, Radiology", XRAY_REPORT)
    made.note("progress", "Cardiology clinic note", "2026-11-06", PROGRESS)
    made.document("procedure", "Cardiac catheterization", "2026-10-27", "application/pdf", as_pdf(angiography()))
    ccda.attach(made, NORTHFIELD, "2026-11-06", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, medicines, allergies, visits, procedures, vitals."""
    mitral = ("48724000", "Mitral valve regurgitation", "I34.0")
    made.problem("mitral", "Severe primary mitral regurgitation, flail P2", mitral, "2026-11-02")
    made.problem(
        "af", "Paroxysmal atrial fibrillation", ("282825002", "Paroxysmal atrial fibrillation", "I48.0"), "2026-06-09"
    )
    kidney = ("700378005", "Chronic kidney disease stage 3A", "N18.31")
    made.problem("ckd", "Chronic kidney disease, stage 3a", kidney, "2025-10-14")
    made.problem(
        "diabetes", "Type 2 diabetes mellitus", ("44054006", "Diabetes mellitus type 2", "E11.9"), "2011-03-22"
    )
    made.problem("lipids", "Hyperlipidemia", ("55822004", "Hyperlipidemia", "E78.5"), "2009-08-10")
    made.medicine(("1364430", "apixaban"), "Apixaban 5 mg tablet", "1 tablet twice daily", "2026-06-09")
    made.medicine(("6918", "metoprolol"), "Metoprolol succinate 50 mg tablet", "1 tablet daily", "2026-06-09")
    made.medicine(("4603", "furosemide"), "Furosemide 40 mg tablet", "1 tablet in the morning", "2026-09-22")
    made.medicine(("29046", "lisinopril"), "Lisinopril 10 mg tablet", "1 tablet daily", "2013-02-18")
    made.medicine(("6809", "metformin"), "Metformin 500 mg tablet", "1 tablet twice daily", "2011-03-22")
    made.medicine(("83367", "atorvastatin"), "Atorvastatin 20 mg tablet", "1 tablet at bedtime", "2009-08-10")
    shock = concept(SNOMED, "39579001", "Anaphylaxis")
    contrast = concept(SNOMED, "293637006", "Allergy to iodinated contrast media", "Iodinated contrast media")
    made.allergy("contrast", contrast, shock, "severe", "high")
    made.smoking("8517006", "Ex-smoker", "2026-11-06")
    made.visit("2026-09-22", "Cardiology visit", "Breathlessness on exertion")
    made.visit("2026-11-06", "Cardiology follow-up", "Severe mitral regurgitation")
    angiogram = concept(
        SNOMED, "33367005", "Angiography of coronary artery", "Coronary angiography, right heart catheter"
    )
    made.procedure("angiography", angiogram, "2026-10-27", "Premedicated for contrast allergy. No stenosis above 50%.")
    made.vitals("2026-06-09", (132, 76), {"pulse": 88, "weight": 86.0, "height": 178, "saturation": 97, "bmi": 27.1})
    made.vitals("2026-09-22", (124, 72), {"pulse": 92, "weight": 90.1, "saturation": 95, "bmi": 28.4})
    made.vitals("2026-11-06", (118, 70), {"pulse": 78, "weight": 88.2, "saturation": 96, "bmi": 27.8})
