"""Denise Johnson, 67: a tumour of the pancreatic head, borderline resectable; surgery at once is proposed."""

from deploy.sandbox.charts import ccda
from deploy.sandbox.charts.catalogue import LOINC, SNOMED, Resource, concept
from deploy.sandbox.charts.chart import Chart
from deploy.sandbox.charts.clinicians import HOLLOWAY
from deploy.sandbox.charts.letter import Letter
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.charts.register import JOHNSON
from deploy.sandbox.hospitals import NORTHFIELD

KEY = "johnson"
DATES = [
    "2024-11-12", "2025-05-20", "2025-11-18", "2026-05-19", "2026-08-04", "2026-09-29", "2026-10-24", "2026-10-31",
    "2026-11-09",
]  # fmt: skip
LABS: dict[str, list[float]] = {
    "hb": [13.2, 13.1, 12.9, 12.6, 12.2, 11.8, 11.5, 11.3, 11.4],
    "wbc": [6.4, 6.1, 6.6, 6.8, 7.1, 7.9, 9.8, 8.7, 7.6],
    "plt": [246, 251, 239, 244, 262, 281, 318, 301, 292],
    "crea": [0.82, 0.84, 0.86, 0.85, 0.83, 0.79, 0.77, 0.74, 0.75],
    "bili": [0.6, 0.5, 0.7, 0.6, 0.8, 2.4, 14.2, 8.6, 3.1],
    "alp": [74, 78, 76, 81, 118, 312, 648, 481, 264],
    "ggt": [24, 26, 25, 31, 96, 384, 812, 590, 298],
    "alt": [21, 22, 20, 24, 38, 142, 268, 151, 72],
    "alb": [4.2, 4.1, 4.2, 4.0, 3.8, 3.5, 3.2, 3.1, 3.2],
    "inr": [1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.6, 1.3, 1.1],
    "glu": [98, 101, 104, 124, 168, 204, 231, 218, 176],
    "a1c": [5.6, 5.7, 5.8, 6.3, 7.4, 8.2, 8.6, 8.6, 8.5],
    "ca199": [9, 11, 14, 18, 42, 184, 1260, 902, 640],
    "cea": [1.9, 2.1, 2.0, 2.4, 3.1, 4.2, 5.8, 5.4, 5.1],
    "lipase": [31, 34, 29, 38, 74, 96, 88, 142, 64],
}

CT_REPORT = """
CT OF THE ABDOMEN AND PELVIS, PORTAL VENOUS PHASE, 26 October 2026 (St. Anna Hospital)

INDICATION: Painless jaundice, weight loss of 9 kg.

TECHNIQUE: 2 mm, 100 mL iohexol 350, portal venous phase only. No arterial phase.

FINDINGS: Ill-defined hypodense mass of the pancreatic head and uncinate process, 31 x 27 x 29 mm. Bile duct 16 mm and
pancreatic duct 8 mm, both end at the mass (double-duct sign); body and tail atrophic. Contact with the superior
mesenteric vein over about 120 degrees with a slight straightening of its contour over 14 mm, no thrombus, suitable vein
above and below. Contact with the superior mesenteric artery over about 60 degrees without deformity. Coeliac trunk and
common hepatic artery free; a replaced right hepatic artery cannot be excluded without an arterial phase. Nodes of the
head up to 9 mm. Liver without focal lesion; 5 mm hypodensity in segment VI, too small to tell. No ascites.

IMPRESSION: Tumour of the pancreatic head, probably adenocarcinoma. By contact with vein and artery borderline
resectable (NCCN). Pancreas protocol and MRI of the liver recommended.
"""
EARLIER_REPORT = """
CT OF THE ABDOMEN, 11 August 2026 (St. Anna Hospital, emergency department; text received by telephone)

INDICATION: Pain in the upper abdomen radiating to the back.

FINDINGS: No stone, no dilated ducts. Fullness of the pancreatic head, considered normal variation. Fatty liver.

IMPRESSION: No acute finding.
"""
EARLIER_NOTE = """
GASTROENTEROLOGY, 29 September 2026, Dr. Grace Holloway

S: Pain in the upper abdomen since July, back at night. Weight loss of 6 kg. Diabetes found in August. Dark urine for
four days. No fever. Father died of pancreatic cancer at 71.
O: 66.8 kg. Slight jaundice. P: Laboratory, CT pancreas protocol (not before 26 October at St. Anna), EUS.
"""
PROGRESS = """
GASTROENTEROLOGY, 9 November 2026, Dr. Grace Holloway

S: Itching gone since the stent, eats small portions, enzymes help. Walks her dog for half an hour, ECOG 1. She wants
"everything that makes sense", with her daughter Aaliyah at her side.
O: 64.1 kg (74.0 in May). No jaundice of the sclerae worth the name. Bilirubin 14.2 to 3.1 after ERCP with metal stent
on 29 October. EUS with fine-needle biopsy on 3 November: adenocarcinoma. CA 19-9 640 with bilirubin 3.1, was 1,260
at the height of the cholestasis: cannot be read alone.

A: Adenocarcinoma of the pancreatic head, cT2 cN0 cM0 so far, borderline resectable (SMV 120, SMA 60 degrees). Our
surgeon offers a Whipple operation on 1 December "before it grows". He does ten a year. I think of chemotherapy first;
there is no arterial phase, and a 5 mm spot in the liver. Two CTs exist at St. Anna; that of August came only in part.
P: Second opinion: (1) resectable, borderline or locally advanced, and which imaging is missing, (2) chemotherapy first
and which (FOLFIRINOX or gemcitabine with nab-paclitaxel at 67), (3) vein resection, and where, (4) germline test,
(5) was the tumour there in August.
"""
REASON = """
Adenocarcinoma of the pancreatic head, 31 mm, contact with vein and artery, bile duct stented. Operation at once is
proposed.

Question: resectability, chemotherapy first, vein resection, missing imaging, germline test.
"""


def ercp() -> Letter:
    """The endoscopist's report of both procedures."""
    return Letter(
        "Endoscopy report: ERCP and endoscopic ultrasound",
        NORTHFIELD.title,
        "Endoscopy Unit",
        (
            ("Patient", "Johnson, Denise, born 06/21/1959"),
            ("Dates", "10/29/2026 (ERCP), 11/03/2026 (EUS)"),
            ("Antibiotic", "Ciprofloxacin (penicillin allergy)"),
        ),
        (
            (
                "ERCP",
                "Stricture of the distal bile duct over 22 mm. Covered metal stent 10 x 60 mm, good drainage. "
                "Pancreatic duct not entered. No pancreatitis afterwards.",
            ),
            (
                "EUS",
                "Hypoechoic mass of the head, 29 x 26 mm, loss of the interface to the superior mesenteric vein over "
                "15 mm. Artery: fat plane partly lost. No suspicious node of the coeliac region, left lobe of the "
                "liver free. Fine-needle biopsy 22 G, three passes.",
            ),
            ("Pathology", "S26-31190: adenocarcinoma, moderately differentiated. MMR proteins kept."),
        ),
        "Electronically signed by Grace Holloway, MD, Gastroenterology",
    )


def surgeon() -> Letter:
    """The surgeon's letter."""
    return Letter(
        "Surgical consultation",
        NORTHFIELD.title,
        "Department of Surgery",
        (("Patient", "Johnson, Denise, born 06/21/1959"), ("Date", "11/06/2026")),
        (
            (
                "Assessment",
                "Fit woman of 67 with a tumour of the pancreatic head. Contact with the vein is limited and can be "
                "dissected or the wall excised.",
            ),
            (
                "Recommendation",
                "Pancreaticoduodenectomy on 12/01/2026, lateral excision of the vein if needed, chemotherapy "
                "afterwards. Port to be placed during the operation.",
            ),
            ("Volume", "This department: 10 pancreatic resections in 2025."),
        ),
        "Electronically signed by Harold Pike, MD, General Surgery",
    )


def chart() -> list[Resource]:
    """All of the chart."""
    made = open_chart(KEY, JOHNSON, NORTHFIELD, HOLLOWAY, Payer("Medicare Part B", "7QN2-WX8-RD31"))
    history(made)
    medicines(made)
    made.labs(DATES, LABS)
    later = concept(LOINC, "36813-4", "CT Abdomen and Pelvis W contrast IV")
    made.imaging_report("ct-october", later, "2026-10-26", "St. Anna Hospital, Radiology", CT_REPORT)
    earlier = {"text": "CT abdomen with contrast"}
    made.imaging_report("ct-august", earlier, "2026-08-11", "St. Anna Hospital, Radiology", EARLIER_REPORT)
    made.note("progress", "Gastroenterology clinic note", "2026-09-29", EARLIER_NOTE)
    made.note("progress", "Gastroenterology clinic note", "2026-11-09", PROGRESS)
    made.paper("procedure", "ERCP and endoscopic ultrasound", "2026-11-03", ercp())
    made.paper("consult", "Surgical consultation", "2026-11-06", surgeon())
    ccda.attach(made, NORTHFIELD, "2026-11-09", REASON)
    return made.resources


def history(made: Chart) -> None:
    """Problems, allergies, visits, procedures, vitals."""
    cancer = ("372142002", "Carcinoma of pancreas", "C25.0")
    made.problem("pancreas", "Adenocarcinoma of the pancreatic head, borderline resectable", cancer, "2026-11-05")
    made.problem("jaundice", "Obstructive jaundice, bile duct stented", ("", "", "K83.1"), "2026-10-24")
    diabetes = ("44054006", "Diabetes mellitus type 2", "E11.65")
    made.problem("diabetes", "Diabetes, new since August 2026", diabetes, "2026-08-04")
    made.problem("hypertension", "Essential hypertension", ("59621000", "Essential hypertension", "I10"), "2011-04-11")
    reflux = ("235595009", "Gastroesophageal reflux disease", "K21.9")
    made.problem("reflux", "Gastroesophageal reflux", reflux, "2016-10-03")
    made.problem("family", "Father: pancreatic cancer at 71", ("", "", ""), "2026-09-29")
    hives = concept(SNOMED, "247472004", "Weal", "Hives")
    made.allergy("penicillin", concept(SNOMED, "91936005", "Allergy to penicillin"), hives, "moderate", "high")
    made.smoking("8517006", "Ex-smoker", "2026-09-29")
    made.visit("2026-08-04", "Primary care visit", "Pain in the upper abdomen, high glucose")
    made.visit("2026-09-29", "Gastroenterology visit", "Pain, loss of weight, dark urine")
    made.visit("2026-11-09", "Gastroenterology follow-up", "Result of biopsy, treatment")
    made.procedure("ercp", {"text": "ERCP with metal biliary stent"}, "2026-10-29", "No complication.")
    biopsy = {"text": "Endoscopic ultrasound with fine-needle biopsy of the pancreas"}
    made.procedure("eus", biopsy, "2026-11-03", "Three passes with a 22 G needle: adenocarcinoma.")
    made.vitals("2026-05-19", (134, 80), {"pulse": 74, "weight": 74.0, "height": 165, "saturation": 97, "bmi": 27.2})
    made.vitals("2026-09-29", (126, 76), {"pulse": 82, "weight": 66.8, "temperature": 37.0, "bmi": 24.5})
    made.vitals("2026-11-09", (118, 72), {"pulse": 80, "weight": 64.1, "saturation": 98, "bmi": 23.5})


def medicines(made: Chart) -> None:
    """Prescriptions."""
    made.medicine(
        ("274783", "insulin-glargine"), "Insulin glargine 100 unit/mL pen", "14 units at bedtime", "2026-09-29"
    )
    made.medicine(("", "pancrelipase"), "Pancrelipase 36,000 unit capsule", "2 capsules with each meal", "2026-10-30")
    made.medicine(("40790", "pantoprazole"), "Pantoprazole 40 mg tablet", "1 tablet daily", "2016-10-03")
    made.medicine(("7804", "oxycodone"), "Oxycodone 5 mg tablet", "1 tablet every 6 hours as needed", "2026-10-12")
    made.medicine(("17767", "amlodipine"), "Amlodipine 5 mg tablet", "1 tablet daily", "2011-04-11")
    made.medicine(("6809", "metformin"), "Metformin 500 mg tablet", "1 tablet twice daily", "2026-08-04", "stopped")
