"""Wang Xiuying (王秀英), 55: a left frontal tumour after a first seizure, watch or operate."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart, organization
from deploy.sandbox.charts.clinicians import WHITFIELD
from deploy.sandbox.charts.letter import Letter, as_pdf
from deploy.sandbox.charts.patient import Registration, coverage, patient
from deploy.sandbox.hospitals import LAKESIDE

KEY = "wang"
DATES = [
    "2024-12-04", "2025-03-18", "2025-07-02", "2025-11-11", "2026-03-09", "2026-07-20", "2026-10-21", "2026-11-12",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [13.1, 13.3, 13.0, 12.9, 13.2, 13.0, 12.8, 12.9],
    "wbc": [5.4, 5.9, 5.2, 5.7, 5.5, 6.0, 10.8, 12.2],
    "plt": [188, 192, 179, 184, 190, 176, 182, 171],
    "crea": [0.62, 0.6, 0.64, 0.61, 0.63, 0.6, 0.66, 0.64],
    "na": [140, 141, 139, 140, 141, 140, 137, 138],
    "k": [4.0, 3.9, 4.1, 4.2, 4.0, 4.1, 3.8, 3.7],
    "glu": [92, 94, 90, 96, 93, 95, 118, 156],
    "alt": [58, 51, 44, 36, 31, 29, 33, 52],
    "ast": [49, 44, 38, 33, 30, 28, 30, 43],
    "alb": [4.2, 4.3, 4.2, 4.4, 4.3, 4.2, 4.1, 4.0],
    "inr": [1.0, 1.0, 1.1, 1.0, 1.0, 1.0, 1.0, 1.1],
}

MR_REPORT = """
MRI OF THE BRAIN WITHOUT AND WITH CONTRAST, 30 October 2026 (St. Anna Hospital)

INDICATION: First focal to bilateral tonic-clonic seizure on 20 October 2026.

TECHNIQUE: 3 T. Axial T1, T2, FLAIR; sagittal T1; axial T1 after 7.5 mmol gadobutrol.

FINDINGS: Intra-axial lesion of the left superior and middle frontal gyri, 46 x 38 x 35 mm, high on T2 and
FLAIR, low on T1, infiltrating the white matter; the rim on FLAIR is incomplete. A single nodule of 11 mm at its
anterior margin enhances. A 7 mm cystic part posteriorly. Slight effacement of the left frontal horn, no midline
shift. No other lesion.

IMPRESSION: Left frontal glioma. The extent suggests a low-grade tumour; the enhancing nodule raises the
question of transformation to grade 3. Perfusion and spectroscopy, then tissue, recommended.
"""
PROGRESS = """
NEUROLOGY CLINIC, 12 November 2026, Dr. Daniel Whitfield (Mandarin interpreter present)

S: No further seizure on levetiracetam. Daughter reports less initiative since spring. Headache in the morning,
better on dexamethasone. Right-handed. Works as an accountant and wants to go on working.
O: Alert, oriented. Language fluent, naming 14/15. Slight pronator drift on the right. No papilloedema.

A: Left frontal glioma next to the supplementary motor area, probably IDH-mutant, with one enhancing nodule.
Chronic hepatitis B, HBV DNA below detection on entecavir: matters for steroids and temozolomide. Local
neurosurgery proposes biopsy only ("too close to speech"). The family asks whether an awake resection is
possible and whether waiting is dangerous.
P: Second opinion from a neuro-oncology centre: (1) resect or biopsy, (2) functional MRI and tractography first,
(3) treatment of hepatitis B during chemotherapy.
"""


def referral() -> Letter:
    """The neurosurgeon's letter."""
    return Letter(
        "Neurosurgical consultation",
        LAKESIDE.title,
        "Department of Neurosurgery",
        (
            ("Patient", "Wang, Xiuying, born 10/07/1971"),
            ("Date", "11/09/2026"),
            ("Interpreter", "Mandarin, in person"),
        ),
        (
            ("", "Thank you for referring this right-handed woman with a first seizure and a left frontal lesion."),
            (
                "Assessment",
                "Diffuse glioma of the left superior and middle frontal gyri reaching the supplementary motor area. "
                "Its posterior border lies 9 mm from the precentral gyrus. One enhancing nodule of 11 mm.",
            ),
            (
                "Recommendation",
                "Stereotactic biopsy of the enhancing nodule. Resection is not offered here because awake mapping is "
                "not available. If histology shows grade 2, observation with MRI every three months is an option.",
            ),
            ("", "The family wishes a further opinion before the biopsy, which I support."),
        ),
        "Electronically signed by Rebecca Lindholm, MD, Neurosurgery",
    )


REASON = """
Left frontal glioma with one enhancing nodule next to the supplementary motor area. Biopsy alone is proposed.

Question: resection with awake mapping, functional MRI first, treatment of hepatitis B during chemotherapy.
"""


def chart() -> list[Resource]:
    """All of the chart."""
    made = Chart(KEY, WHITFIELD, organization(LAKESIDE))
    who = Registration(
        "4480357",
        "Wang",
        ("Xiuying",),
        "female",
        "1971-10-07",
        native=("王", "秀英"),
        language="zh-CN",
    )
    made.add("Patient", "", patient(who, LAKESIDE, WHITFIELD))
    made.add("Coverage", "coverage", coverage(KEY, "Great Lakes Mutual", "GLM-771029"))
    history(made)
    made.labs(DATES, LABS)
    mr = concept(LOINC, "24587-8", "MR Brain WO and W contrast IV")
    made.imaging_report("mr-brain", mr, "2026-10-30", "St. Anna Hospital, Radiology", MR_REPORT)
    made.imaging_report(
        "ct-head",
        concept(LOINC, "30799-1", "CT Head WO contrast"),
        "2026-10-20",
        "Amir Rahimi, MD, Radiology",
        CT_REPORT,
    )
    made.note("progress", "Neurology clinic note", "2026-11-12", PROGRESS)
    made.document("referral", "Neurosurgical consultation", "2026-11-09", "application/pdf", as_pdf(referral()))
    ccda.attach(made, LAKESIDE, "2026-11-12", REASON)
    return made.resources


CT_REPORT = """
CT HEAD WITHOUT CONTRAST, 20 October 2026

INDICATION: First seizure.

FINDINGS: Ill-defined hypodensity of the left frontal white matter, about 4 cm. No haemorrhage. No midline
shift.

IMPRESSION: Left frontal mass lesion. MRI with contrast recommended.
"""


def history(made: Chart) -> None:
    """Problems, medicines, allergies, visits, vitals."""
    tumour = ("126952004", "Neoplasm of brain", "D43.0")
    made.problem("glioma", "Left frontal glioma, grade undetermined", tumour, "2026-10-30")
    made.problem("seizure", "Focal to bilateral tonic-clonic seizure", ("91175000", "Seizure", "R56.9"), "2026-10-20")
    hepatitis = ("61977001", "Chronic type B viral hepatitis", "B18.1")
    made.problem("hepatitis-b", "Chronic hepatitis B, suppressed on entecavir", hepatitis, "2009-05-14")
    made.problem("migraine", "Migraine without aura", ("37796009", "Migraine", "G43.009"), "1998-01-01")
    made.medicine(("114477", "levetiracetam"), "Levetiracetam 750 mg tablet", "1 tablet twice daily", "2026-10-20")
    made.medicine(
        ("3264", "dexamethasone"), "Dexamethasone 4 mg tablet", "1 tablet in the morning, taper", "2026-10-31"
    )
    made.medicine(
        ("306266", "entecavir"), "Entecavir 0.5 mg tablet", "1 tablet daily on an empty stomach", "2018-02-06"
    )
    made.medicine(("7646", "omeprazole"), "Omeprazole 20 mg capsule", "1 capsule daily", "2026-10-31")
    rash = concept(SNOMED, "271807003", "Eruption of skin", "Rash")
    made.allergy("penicillin", concept(SNOMED, "91936005", "Allergy to penicillin"), rash, "mild", "low")
    made.smoking("266919005", "Never smoked tobacco", "2026-11-12")
    made.visit("2026-10-20", "Emergency visit", "First seizure")
    made.visit("2026-11-12", "Neurology follow-up", "Left frontal glioma")
    eeg = concept(SNOMED, "54550000", "Electroencephalogram")
    made.procedure("eeg", eeg, "2026-10-21", "Intermittent left frontal slowing, no epileptiform discharge.")
    made.vitals("2026-07-20", (118, 74), {"pulse": 68, "weight": 58.2, "height": 160, "saturation": 99, "bmi": 22.7})
    made.vitals("2026-10-20", (142, 86), {"pulse": 96, "weight": 57.8, "saturation": 97, "bmi": 22.6})
    made.vitals("2026-11-12", (124, 78), {"pulse": 72, "weight": 58.9, "saturation": 99, "bmi": 23.0})
