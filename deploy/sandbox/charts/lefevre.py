"""Renée Lefèvre-Muñoz, 62: a mass in the right upper lobe, lobectomy proposed, lung function at the limit."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart, organization
from deploy.sandbox.charts.clinicians import NUNEZ
from deploy.sandbox.charts.letter import Letter, as_pdf
from deploy.sandbox.charts.patient import Registration, coverage, patient
from deploy.sandbox.hospitals import LAKESIDE

KEY = "lefevre"
DATES = [
    "2024-11-18", "2025-02-24", "2025-05-19", "2025-09-08", "2026-01-12", "2026-05-11", "2026-08-31", "2026-11-02",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [13.8, 13.6, 13.7, 13.4, 13.1, 12.6, 12.1, 11.7],
    "wbc": [7.1, 6.8, 7.4, 7.9, 7.7, 8.4, 8.9, 9.3],
    "plt": [268, 274, 262, 281, 296, 318, 352, 371],
    "crea": [0.82, 0.85, 0.8, 0.84, 0.86, 0.83, 0.88, 0.85],
    "na": [140, 139, 141, 140, 138, 137, 135, 134],
    "k": [4.2, 4.3, 4.1, 4.4, 4.2, 4.0, 4.1, 4.2],
    "alb": [4.3, 4.2, 4.3, 4.1, 4.0, 3.8, 3.6, 3.5],
    "ca": [9.4, 9.5, 9.3, 9.6, 9.6, 9.8, 10.1, 10.2],
    "crp": [2.1, 1.8, 2.6, 3.4, 4.9, 7.8, 12.4, 15.1],
    "cea": [2.4, 2.6, 2.7, 3.1, 4.2, 6.9, 11.3, 14.8],
    "ldh": [178, 172, 181, 188, 196, 214, 238, 251],
    "tsh": [2.1, 1.9, 2.4, 2.2, 2.6, 2.3, 2.0, 2.2],
}

CT_REPORT = """
CT CHEST WITH INTRAVENOUS CONTRAST, 28 October 2026 (St. Anna Hospital; report received by fax)

INDICATION: Cough for four months, weight loss of 6 kg, 38 pack-years.

TECHNIQUE: 300 axial images of 1 mm after 80 mL iohexol 350. Comparison: chest radiograph of 5 March 2024.

FINDINGS: Spiculated mass in the posterior segment of the right upper lobe, 34 x 31 x 32 mm, with strands to the
pleura; no chest wall invasion seen. Enlarged right lower paratracheal node (station 4R), 17 x 14 mm. No other
node above 10 mm. Moderate centrilobular emphysema. No pleural effusion. Heart of normal size. Liver, spleen and
the adrenal glands as far as shown without focal lesion. No destructive bone lesion.

IMPRESSION: Right upper lobe mass, highly suspicious of primary bronchial carcinoma, cT2a. Enlarged node 4R: N2
disease must be excluded before surgery. Tissue diagnosis and PET-CT recommended.
"""
PET_REPORT = """
PET-CT SKULL BASE TO MID-THIGH, 6 November 2026

FINDINGS: Right upper lobe mass with SUVmax 11.8. Node 4R with SUVmax 4.1 (mediastinal blood pool 2.3). No
uptake elsewhere beyond the physiological.

IMPRESSION: Hypermetabolic primary tumour. Moderate uptake of node 4R, indeterminate: inflammatory or
metastatic. No distant metastasis.
"""
PROGRESS = """
PULMONOLOGY CLINIC, 9 November 2026, Dr. Ana Núñez

S: Cough persists, no haemoptysis. Walks two flights of stairs with a pause. Appetite poor, 61.4 kg (67.5 kg in
May).
O: SpO2 94% on room air. Quiet breath sounds, no wheeze. No palpable nodes. No clubbing. Lung function: FEV1
1.52 L (58%), DLCO 47%. Predicted postoperative after right upper lobectomy: FEV1 46%, DLCO 38%. Bronchoscopy 3
November: transbronchial biopsy of the mass: adenocarcinoma, TTF-1 positive, PD-L1 60%. EBUS of 4R: scant
lymphocytes, no tumour cells, not representative.

A: Adenocarcinoma of the right upper lobe, cT2a cN0-2 cM0. Our tumour board proposes lobectomy without further
staging of the mediastinum. With a DLCO of 38% predicted I am not comfortable, and 4R is not settled.
P: Second opinion on (1) restaging of the mediastinum, (2) lobectomy, segmentectomy or chemo-radiotherapy, (3)
neoadjuvant chemo-immunotherapy given PD-L1 of 60%. Molecular panel is pending.
"""


def pathology() -> Letter:
    """The biopsy's report."""
    return Letter(
        "Surgical pathology report S26-19844",
        LAKESIDE.title,
        "Department of Pathology",
        (
            ("Patient", "Lefèvre-Muñoz, Renée Claire, born 03/11/1964"),
            ("Specimen", "Right upper lobe, transbronchial biopsy; EBUS-TBNA station 4R"),
            ("Collected", "11/03/2026"),
        ),
        (
            (
                "Diagnosis",
                "A. Lung, right upper lobe: invasive adenocarcinoma, acinar and solid pattern. "
                "B. Lymph node 4R: scant lymphoid material, insufficient for a statement on metastasis.",
            ),
            ("Immunohistochemistry", "TTF-1 positive, napsin A positive, p40 negative. PD-L1 (22C3): TPS 60%."),
            ("Molecular", "EGFR, ALK, ROS1, BRAF, MET, RET, KRAS: pending, result expected 11/24/2026."),
            ("Comment", "Repeat sampling of station 4R is recommended before resection is planned."),
        ),
        "Electronically signed by Martin Osei, MD, Pathology, 11/05/2026",
    )


REASON = """
Adenocarcinoma of the right upper lobe, cT2a cN0-2 cM0, PD-L1 60%. Lobectomy is proposed; predicted
postoperative DLCO is 38% and node 4R is not settled.

Question: staging of the mediastinum, extent of resection, neoadjuvant treatment.
"""


def chart() -> list[Resource]:
    """All of the chart."""
    made = Chart(KEY, NUNEZ, organization(LAKESIDE))
    who = Registration("4471902", "Lefèvre-Muñoz", ("Renée", "Claire"), "female", "1964-03-11", maiden="Muñoz")
    made.add("Patient", "", patient(who, LAKESIDE, NUNEZ))
    made.add("Coverage", "coverage", coverage(KEY, "Northern Plains Health", "NPH-2284410"))
    history(made)
    tests(made)
    papers(made)
    ccda.attach(made, LAKESIDE, "2026-11-09", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, medicines, allergies, visits, procedures."""
    cancer = ("254637007", "Non-small cell lung cancer", "C34.11")
    made.problem("lung-cancer", "Adenocarcinoma of the right upper lobe, cT2a cN0-2 cM0", cancer, "2026-11-05")
    made.problem(
        "copd", "COPD with emphysema, GOLD 2", ("13645005", "Chronic obstructive lung disease", "J44.9"), "2017-04-20"
    )
    made.problem("hypertension", "Essential hypertension", ("59621000", "Essential hypertension", "I10"), "2012-09-03")
    made.problem("hypothyroidism", "Hypothyroidism", ("40930008", "Hypothyroidism", "E03.9"), "2015-06-15")
    pneumonia = ("233604007", "Pneumonia", "J18.9")
    made.problem("pneumonia", "Community-acquired pneumonia, right lower lobe", pneumonia, "2024-02-26", "2024-04-02")
    made.medicine(
        ("", "tiotropium"), "Tiotropium 18 mcg inhalation capsule", "1 capsule inhaled once daily", "2019-03-11"
    )
    made.medicine(
        ("435", "albuterol"), "Albuterol 90 mcg/actuation inhaler", "2 puffs every 4 to 6 hours as needed", "2017-04-20"
    )
    made.medicine(("17767", "amlodipine"), "Amlodipine 5 mg tablet", "1 tablet daily", "2014-01-09")
    made.medicine(("10582", "levothyroxine"), "Levothyroxine 75 mcg tablet", "1 tablet daily, fasting", "2015-06-15")
    made.medicine(
        ("723", "amoxicillin"),
        "Amoxicillin 1 g tablet",
        "1 tablet three times daily, 7 days",
        "2024-02-26",
        "completed",
    )
    hives = concept(SNOMED, "247472004", "Weal", "Hives")
    made.allergy("sulfonamide", concept(SNOMED, "91939003", "Allergy to sulfonamide"), hives, "moderate", "high")
    made.smoking("8517006", "Ex-smoker", "2026-11-09")
    made.visit("2026-08-31", "Primary care visit", "Cough, loss of weight")
    made.visit("2026-11-09", "Pulmonology follow-up", "Results of bronchoscopy")
    scope = concept(SNOMED, "10847001", "Bronchoscopy", "Bronchoscopy with transbronchial biopsy and EBUS-TBNA 4R")
    made.procedure("bronchoscopy", scope, "2026-11-03", "No complication. Material from 4R scant.")
    made.vitals("2026-05-11", (138, 82), {"pulse": 76, "weight": 67.5, "height": 164, "saturation": 95, "bmi": 25.1})
    made.vitals("2026-08-31", (134, 80), {"pulse": 80, "weight": 64.0, "saturation": 95, "bmi": 23.8})
    made.vitals("2026-11-09", (128, 78), {"pulse": 84, "weight": 61.4, "saturation": 94, "bmi": 22.8})


def tests(made: Chart) -> None:
    """Laboratory and imaging reports."""
    made.labs(DATES, LABS)
    ct = concept(LOINC, "24628-0", "CT Chest W contrast IV")
    made.imaging_report("ct-chest", ct, "2026-10-28", "St. Anna Hospital, Radiology", CT_REPORT)
    pet = {"text": "PET-CT skull base to mid-thigh"}
    made.imaging_report("pet", pet, "2026-11-06", "Helen Vogt, MD, Nuclear medicine", PET_REPORT)


def papers(made: Chart) -> None:
    """Notes and scanned documents."""
    made.note("progress", "Pulmonology clinic note", "2026-11-09", PROGRESS)
    made.document("pathology", "Surgical pathology S26-19844", "2026-11-05", "application/pdf", as_pdf(pathology()))
