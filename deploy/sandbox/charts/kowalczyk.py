"""Zofia Kowalczyk-Ćwik, 9: epilepsy that two drugs do not control, an MRI called normal, surgery perhaps possible."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, RXNORM, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import FELD
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import KOWALCZYK
from deploy.sandbox.hospitals import LAKESIDE

KEY = "kowalczyk"
DATES = [
    "2024-12-09", "2025-03-24", "2025-06-16", "2025-09-29", "2026-01-19", "2026-04-27", "2026-08-10", "2026-11-09",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [12.6, 12.8, 12.5, 12.9, 13.0, 12.7, 12.9, 13.1],
    "wbc": [7.2, 6.8, 7.5, 6.9, 6.4, 6.1, 6.3, 5.9],
    "plt": [298, 284, 291, 276, 268, 262, 259, 255],
    "na": [140, 139, 140, 139, 138, 139, 138, 139],
    "glu": [84, 88, 81, 86, 83, 87, 85, 82],
    "alt": [16, 18, 17, 21, 24, 22, 26, 25],
    "crea-child": [0.38, 0.39, 0.4, 0.41, 0.41, 0.43, 0.44, 0.44],
    "vitd": [22, 26, 31, 29, 27, 25, 28, 30],
}
EARLY_LEVELS = (["2024-12-09", "2025-03-24"], {"levetiracetam": [28.4, 39.7]})
LATE_LEVELS = (
    ["2025-09-29", "2026-01-19", "2026-04-27", "2026-08-10", "2026-11-09"],
    {"lamotrigine": [2.6, 4.9, 7.8, 10.6, 11.2]},
)
GROWTH = (
    ("2024-12-09", (98, 60), 22.6, 123.0, 14.9, 33.0),
    ("2025-06-16", (100, 62), 24.1, 126.5, 15.1, 34.0),
    ("2026-01-19", (101, 62), 25.7, 130.0, 15.2, 32.0),
    ("2026-08-10", (102, 64), 27.4, 133.5, 15.4, 32.0),
    ("2026-11-12", (102, 63), 28.0, 135.0, 15.4, 30.0),
)
"""Date, blood pressure, weight, height, body mass index and its percentile."""

MR_REPORT = """
MRI OF THE BRAIN WITHOUT CONTRAST, 30 September 2026 (St. Anna Hospital)

INDICATION: Focal epilepsy, age 9. Question of a structural cause.

TECHNIQUE: 3 T, sedation not needed. Sagittal T1, axial T2, axial FLAIR with slices of 4 mm. No 3D sequence.

FINDINGS: Midline structures normal. Hippocampi symmetrical in size and signal. Slight blurring of the grey-white
junction in the right middle frontal gyrus on FLAIR, considered partial volume. Myelination according to age. No
mass, no sign of earlier haemorrhage.

IMPRESSION: No certain epileptogenic lesion.
"""
EEG_REPORT = """
PROLONGED VIDEO EEG, 28 to 29 September 2026 (St. Anna Hospital; the signed report is in their archive as PDF)

FINDINGS: 26 hours. Background normal for age. Frequent sharp waves over the right frontal region (F4, FC2), in runs
during sleep, at times rhythmic at 3 to 4 per second. Five seizures out of sleep: arousal, stiffening of the left arm,
turning of head and eyes to the left, 25 to 40 seconds, awake quickly afterwards. Onset with fast activity at F4,
obscured by muscle after three seconds.

IMPRESSION: Focal seizures of right frontal onset; interictal activity concordant.
"""
EARLIER_NOTE = """
CHILD NEUROLOGY, 10 August 2026, Dr. Naomi Feld (Polish interpreter by telephone)

S: Three to six seizures a night in spite of lamotrigine 5 mg/kg a day; clobazam helped for a month. Teacher notes
that she falls asleep in class. Mother sleeps beside her.
O: 27.4 kg, 133.5 cm. No deficit. Lamotrigine 10.6 µg/mL. P: Video EEG and MRI; if concordant, ask for surgery.
"""
PROGRESS = """
CHILD NEUROLOGY, 12 November 2026, Dr. Naomi Feld (Polish interpreter present; mother Małgorzata Ćwik)

S: Seizures every night, three to six, stereotyped: left arm stiffens, head turns left. Never longer than a minute,
none while awake since June. Onset at 4 years. Levetiracetam to 60 mg/kg a day for eleven months: no effect, and
aggressive. Carbamazepine stopped after two weeks for a rash. Lamotrigine to a level of 11: fewer by a third at most.
Clobazam added in April: tired, no lasting effect. Right-handed. Third grade, reading at first-grade level.
O: 28.0 kg (about the 40th percentile), 135 cm. Neurological examination normal, fine finger movements equal.

A: Focal epilepsy of the right frontal lobe, drug-resistant by the ILAE's definition (two appropriate drugs). EEG and
the look of the seizures agree. MRI was called normal, but the slices were thick, and I wonder about the right middle
frontal gyrus: a focal cortical dysplasia is the commonest cause at this age.
P: Second opinion: (1) is there a dysplasia on this MRI, and what should be repeated, (2) is she a candidate for
surgery and what is still needed (PET, 3D sequences, neuropsychology, invasive EEG), (3) which drug until then.
"""
REASON = """
Drug-resistant focal epilepsy with nightly seizures of right frontal onset since the age of 4. MRI reported as without
certain lesion.

Question: focal cortical dysplasia on the MRI, candidacy for surgery, treatment until then.
"""


def neuropsychology() -> Letter:
    """The neuropsychologist's letter."""
    return Letter(
        "Neuropsychological assessment",
        LAKESIDE.title,
        "Child Development Center",
        (
            ("Patient", "Kowalczyk-Ćwik, Zofia, born 04/23/2017"),
            ("Dates", "10/19/2026 and 10/21/2026, with a Polish interpreter"),
            ("Language", "Polish at home, English at school since 2022"),
        ),
        (
            (
                "Results",
                "Reasoning without words is average (index 98). Working memory 79 and processing speed 76 are below. "
                "Verbal scores are not interpreted because of the two languages. Planning and inhibition are clearly "
                "weaker than expected for age. Reading at the level of first grade, arithmetic second grade.",
            ),
            (
                "Opinion",
                "The profile fits frontal-lobe dysfunction and broken sleep. No sign of a general disability. "
                "The gap to classmates has grown since 2024.",
            ),
            ("Advice", "Individual education plan; repeat before and twelve months after any surgery."),
        ),
        "Electronically signed by Hannah Brandt, PhD, Neuropsychology",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, KOWALCZYK, LAKESIDE, FELD, Payer("Great Lakes Mutual", "GLM-804416"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    made.labs(*EARLY_LEVELS, name="early-levels")
    made.labs(*LATE_LEVELS, name="levels")
    made.imaging_report(
        "mr-brain",
        concept(LOINC, "30657-1", "MR Brain WO contrast"),
        "2026-09-30",
        "St. Anna Hospital, Radiology",
        MR_REPORT,
    )
    made.imaging_report(
        "eeg", {"text": "Prolonged video EEG"}, "2026-09-29", "St. Anna Hospital, Neurophysiology", EEG_REPORT
    )
    made.note("progress", "Child neurology clinic note", "2026-08-10", EARLIER_NOTE)
    made.note("progress", "Child neurology clinic note", "2026-11-12", PROGRESS)
    made.paper("consult", "Neuropsychological assessment", "2026-10-23", neuropsychology())
    ccda.attach(made, LAKESIDE, "2026-11-12", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, growth."""
    epilepsy = ("84757009", "Epilepsy", "G40.219")
    made.problem("epilepsy", "Focal epilepsy, right frontal, drug-resistant", epilepsy, "2025-10-06")
    made.problem("school", "Difficulty with reading and attention at school", ("", "", "F81.9"), "2025-02-11")
    made.suspected(
        "dysplasia", "Suspected focal cortical dysplasia, right middle frontal gyrus", ("", "", ""), "2021-10-04"
    )
    asthma = ("233678006", "Childhood asthma", "J45.20")
    made.problem("asthma", "Mild intermittent asthma", asthma, "2020-09-15", "2024-05-06")
    rash = concept(SNOMED, "271807003", "Eruption of skin", "Widespread rash, no mucosal lesion")
    made.allergy("carbamazepine", concept(RXNORM, "2002", "carbamazepine", "Carbamazepine"), rash, "moderate", "high")
    for date, reason in (("2024-12-09", "Seizures on levetiracetam"), ("2026-08-10", "Nightly seizures")):
        made.visit(date, "Child neurology follow-up", reason)
    made.visit("2026-11-12", "Child neurology follow-up", "Results of video EEG and MRI")
    eeg = concept(SNOMED, "54550000", "Electroencephalogram", "Prolonged video EEG, 26 hours")
    made.procedure("video-eeg", eeg, "2026-09-29", "Five habitual seizures recorded.")
    for date, pressure, weight, height, bmi, percentile in GROWTH:
        rest = {"pulse": 88, "weight": weight, "height": height, "bmi": bmi, "bmi-percentile": percentile}
        made.vitals(date, pressure, rest | {"temperature": 36.7, "saturation": 99})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(("28439", "lamotrigine"), "Lamotrigine 25 mg chewable tablet", "3 tablets twice daily", "2025-06-16")
    made.medicine(("21241", "clobazam"), "Clobazam 5 mg tablet", "1 tablet at bedtime", "2026-04-27")
    made.medicine(
        ("3322", "diazepam"), "Diazepam 10 mg rectal gel", "1 dose for a seizure longer than 5 minutes", "2021-11-15"
    )
    made.medicine(
        ("114477", "levetiracetam"),
        "Levetiracetam 100 mg/mL solution",
        "7 mL twice daily; stopped for lack of effect and aggression",
        "2024-05-13",
        "stopped",
    )
    made.medicine(
        ("2002", "carbamazepine"),
        "Carbamazepine 100 mg chewable tablet",
        "1 tablet twice daily",
        "2024-03-04",
        "stopped",
    )
