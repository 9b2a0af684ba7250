"""Björn Åke Andersson, 58: lumbar stenosis with a slipped vertebra; fusion proposed, decompression perhaps enough."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, RXNORM, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import SOLBERG
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import ANDERSSON
from deploy.sandbox.hospitals import LAKESIDE

KEY = "andersson"
DATES = [
    "2024-12-02", "2025-03-17", "2025-06-30", "2025-10-06", "2026-01-26", "2026-05-04", "2026-08-24", "2026-11-02",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb-male": [15.1, 14.9, 15.0, 14.7, 14.8, 14.6, 14.5, 14.6],
    "glu": [162, 158, 171, 166, 184, 179, 168, 157],
    "a1c": [7.4, 7.6, 7.9, 8.1, 8.6, 8.8, 8.3, 7.9],
    "crea": [0.98, 1.01, 0.99, 1.04, 1.08, 1.1, 1.14, 1.12],
    "egfr": [91, 87, 89, 84, 80, 78, 75, 76],
    "na": [140, 139, 141, 140, 139, 140, 138, 139],
    "k": [4.3, 4.4, 4.2, 4.5, 4.4, 4.6, 4.7, 4.5],
    "alt": [34, 36, 38, 41, 44, 46, 43, 39],
    "ldl": [118, 112, 104, 98, 91, 88, 84, 82],
    "vitd": [16, 19, 22, 21, 18, 23, 27, 31],
    "crp": [2.4, 2.8, 2.2, 3.1, 3.4, 2.9, 2.6, 2.7],
    "psa": [1.1, 1.2, 1.1, 1.3, 1.2, 1.4, 1.3, 1.4],
}

MR_REPORT = """
MRI OF THE LUMBAR SPINE WITHOUT CONTRAST, 17 September 2026 (St. Anna Hospital)

INDICATION: Pain in both legs when walking, relieved by sitting. Question of stenosis.

TECHNIQUE: 1.5 T. Sagittal T1 and T2, axial T2 from L2 to S1.

FINDINGS: Degenerative anterolisthesis of L4 on L5 by 6 mm (grade I). L4/L5: disc narrowed and bulging, hypertrophied
facets with 3 mm of fluid on both sides, thickened ligamentum flavum; severe central stenosis, dural sac 48 mm2, no
visible cerebrospinal fluid (Schizas D). Lateral recesses narrow on both sides. L3/L4: moderate stenosis, 92 mm2.
L5/S1: disc narrowed, no stenosis, foramina free. Conus normal. No fracture, no oedema of the end plates.

IMPRESSION: Severe central stenosis at L4/L5 with degenerative spondylolisthesis grade I. Moderate stenosis at L3/L4.
"""
FLEXION_REPORT = """
LUMBAR SPINE, LATERAL, STANDING IN FLEXION AND EXTENSION, 22 September 2026 (St. Anna Hospital)

FINDINGS: Anterolisthesis L4 on L5: 5 mm in extension, 9 mm in flexion (change 4 mm). Angle between L4 and L5 changes
by 8 degrees. Disc spaces L4/L5 and L5/S1 narrowed. Lumbar lordosis 38 degrees. No pars defect.

IMPRESSION: Degenerative spondylolisthesis L4/L5 with 4 mm of translation, at the border of what is called unstable.
"""
EARLIER_NOTE = """
ORTHOPAEDIC SURGERY, 24 August 2026, Dr. Erik Solberg

S: Six weeks of physiotherapy and one epidural injection (3 June): relief for three weeks. Walks 200 m, then both
calves burn and feel heavy; leans on the shopping cart and can go on. Back pain 3/10, leg pain 8/10.
O: Strength full except big toe extension left 4+/5. Pulses good on both feet. P: MRI, flexion and extension films.
"""
PROGRESS = """
ORTHOPAEDIC SURGERY, 4 November 2026, Dr. Erik Solberg

S: Leg pain 8/10, back pain 3/10, worse since summer; drives a bus and is on sick leave. ODI 46. No bladder symptoms.
O: 104 kg, BMI 32.8. Big toe extension left 4+/5, sensation of the dorsum of the left foot reduced. Ankle jerks absent
on both sides. Stopped smoking in April (24 pack-years), cotinine negative on 2 November. HbA1c 7.9%, was 8.8% in May.

A: Neurogenic claudication by severe stenosis L4/L5 with degenerative spondylolisthesis grade I, 4 mm of motion, facet
fluid. Our group proposes decompression and instrumented fusion L4 to S1 with a cage at L4/L5. He has read of studies
in which decompression alone did as well, and his back hardly hurts. Diabetes and weight raise the risk of a fusion.
P: Second opinion: (1) decompression alone or with fusion, (2) if fusion, is S1 needed, and must L3/L4 be opened, (3)
which HbA1c and weight should be reached first.
"""
REASON = """
Neurogenic claudication by severe stenosis L4/L5 with degenerative spondylolisthesis grade I. Fusion L4 to S1 is
proposed.

Question: decompression alone, extent of a fusion, what should be improved before surgery.
"""


def surgeon() -> Letter:
    """The letter that proposes the operation."""
    return Letter(
        "Surgical recommendation",
        LAKESIDE.title,
        "Department of Orthopedic Surgery, Spine Section",
        (
            ("Patient", "Andersson, Björn Åke, born 01/30/1968"),
            ("Date", "10/21/2026"),
            ("Occupation", "Bus driver"),
        ),
        (
            (
                "Findings",
                "Severe stenosis L4/L5 (dural sac 48 mm2), anterolisthesis 6 mm lying, 5 to 9 mm standing. "
                "Facet effusion 3 mm. Walking distance 200 m. Oswestry index 46.",
            ),
            (
                "Recommendation",
                "Laminectomy L4 and L5, pedicle screws L4 to S1, interbody cage L4/L5. Length of stay 3 to 4 days, "
                "12 weeks without driving. Operation offered for 01/12/2027 if HbA1c is below 8.0%.",
            ),
            ("Alternatives", "Decompression alone was discussed; risk of further slip and of a second operation."),
        ),
        "Electronically signed by Frank Weller, MD, Spine Surgery",
    )


def physiotherapy() -> Letter:
    """The physiotherapist's final report."""
    return Letter(
        "Physical therapy discharge summary",
        LAKESIDE.title,
        "Rehabilitation Services",
        (
            ("Patient", "Andersson, Björn Åke, born 01/30/1968"),
            ("Period", "06/15/2026 to 08/07/2026, 12 sessions"),
        ),
        (
            ("Programme", "Flexion-based exercise, bicycle, strength of the trunk, training of gait."),
            (
                "Outcome",
                "Six-minute walk 268 m at the start, 281 m at the end, stopped each time by the legs. "
                "Bicycle 20 minutes without pain. Adherence good.",
            ),
        ),
        "Marie Dupont, PT, DPT",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, ANDERSSON, LAKESIDE, SOLBERG, Payer("Great Lakes Mutual", "GLM-755203"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    made.imaging_report(
        "mr-spine",
        concept(LOINC, "30679-5", "MR Lumbar spine WO contrast"),
        "2026-09-17",
        "St. Anna Hospital, Radiology",
        MR_REPORT,
    )
    bending = {"text": "XR lumbar spine, flexion and extension"}
    made.imaging_report("xr-spine", bending, "2026-09-22", "St. Anna Hospital, Radiology", FLEXION_REPORT)
    made.note("progress", "Orthopaedic clinic note", "2026-08-24", EARLIER_NOTE)
    made.note("progress", "Orthopaedic clinic note", "2026-11-04", PROGRESS)
    made.paper("discharge", "Physical therapy discharge summary", "2026-08-07", physiotherapy())
    made.paper("consult", "Surgical recommendation", "2026-10-21", surgeon())
    ccda.attach(made, LAKESIDE, "2026-11-04", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    stenosis = ("18347007", "Spinal stenosis of lumbar region", "M48.062")
    made.problem("stenosis", "Severe lumbar stenosis L4/L5 with neurogenic claudication", stenosis, "2026-09-17")
    slip = ("274152003", "Spondylolisthesis", "M43.16")
    made.problem("slip", "Degenerative spondylolisthesis L4/L5, grade I", slip, "2026-05-04")
    diabetes = ("44054006", "Diabetes mellitus type 2", "E11.65")
    made.problem("diabetes", "Type 2 diabetes mellitus, above target", diabetes, "2016-05-12")
    obesity = ("162864005", "Body mass index 30+ - obesity", "E66.9")
    made.problem("obesity", "Obesity, BMI 33", obesity, "2014-02-03")
    made.problem("hypertension", "Essential hypertension", ("59621000", "Essential hypertension", "I10"), "2013-08-19")
    made.problem("apnea", "Obstructive sleep apnea, CPAP", ("", "", "G47.33"), "2019-10-28")
    codeine = concept(RXNORM, "2670", "codeine", "Codeine")
    made.allergy("codeine", codeine, concept(SNOMED, "422587007", "Nausea", "Vomiting, itching"), "mild", "low")
    made.smoking("8517006", "Ex-smoker", "2026-11-04")
    made.visit("2026-05-04", "Primary care visit", "Pain in both legs when walking")
    made.visit("2026-08-24", "Orthopaedic clinic", "Claudication after physiotherapy")
    made.visit("2026-11-04", "Orthopaedic clinic", "Results, decision on surgery")
    injection = {"text": "Epidural steroid injection L4/L5, fluoroscopic"}
    made.procedure("injection", injection, "2026-06-03", "Triamcinolone 40 mg. Relief of leg pain for three weeks.")
    made.vitals("2026-01-26", (142, 88), {"pulse": 80, "weight": 108.5, "height": 178, "saturation": 96, "bmi": 34.2})
    made.vitals("2026-08-24", (136, 84), {"pulse": 78, "weight": 105.6, "saturation": 96, "bmi": 33.3})
    made.vitals("2026-11-04", (132, 82), {"pulse": 74, "weight": 104.0, "saturation": 97, "bmi": 32.8})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("6809", "metformin"), "Metformin 1,000 mg tablet", "1 tablet twice daily", "2016-05-12")
    made.medicine(("", "empagliflozin"), "Empagliflozin 10 mg tablet", "1 tablet daily", "2026-05-04")
    made.medicine(("29046", "lisinopril"), "Lisinopril 20 mg tablet", "1 tablet daily", "2013-08-19")
    made.medicine(("83367", "atorvastatin"), "Atorvastatin 40 mg tablet", "1 tablet at bedtime", "2017-01-30")
    made.medicine(("25480", "gabapentin"), "Gabapentin 300 mg capsule", "1 capsule three times daily", "2026-05-04")
    made.medicine(("72625", "duloxetine"), "Duloxetine 30 mg capsule", "1 capsule in the morning", "2026-08-24")
    made.medicine(
        ("7258", "naproxen"), "Naproxen 500 mg tablet", "1 tablet twice daily with food", "2026-03-02", "stopped"
    )
