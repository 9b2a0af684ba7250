"""Codes that the charts use, by a short name.  Only codes found in the published terminologies."""

from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


@dataclass(frozen=True)
class Test:
    """One laboratory test: LOINC code, name, unit, reference range (None: open)."""

    code: str
    name: str
    unit: str
    low: float | None
    high: float | None


TESTS = {
    "hb": Test("718-7", "Hemoglobin", "g/dL", 12.0, 16.0),
    "hb-male": Test("718-7", "Hemoglobin", "g/dL", 13.5, 17.5),
    "wbc": Test("6690-2", "Leukocytes", "10*3/uL", 4.0, 11.0),
    "plt": Test("777-3", "Platelets", "10*3/uL", 150, 400),
    "crea": Test("2160-0", "Creatinine", "mg/dL", 0.6, 1.2),
    "crea-child": Test("2160-0", "Creatinine", "mg/dL", 0.3, 0.7),
    "na": Test("2951-2", "Sodium", "mmol/L", 135, 145),
    "k": Test("2823-3", "Potassium", "mmol/L", 3.5, 5.1),
    "glu": Test("2345-7", "Glucose", "mg/dL", 70, 99),
    "alt": Test("1742-6", "Alanine aminotransferase", "U/L", 7, 40),
    "ast": Test("1920-8", "Aspartate aminotransferase", "U/L", 8, 40),
    "alb": Test("1751-7", "Albumin", "g/dL", 3.5, 5.0),
    "ca": Test("17861-6", "Calcium", "mg/dL", 8.6, 10.3),
    "crp": Test("1988-5", "C-reactive protein", "mg/L", None, 5.0),
    "cea": Test("2039-6", "Carcinoembryonic antigen", "ng/mL", None, 5.0),
    "ldh": Test("2532-0", "Lactate dehydrogenase", "U/L", 120, 246),
    "bnp": Test("33762-6", "NT-proBNP", "pg/mL", None, 300),
    "a1c": Test("4548-4", "Hemoglobin A1c", "%", 4.0, 5.6),
    "inr": Test("6301-6", "INR", "{INR}", 0.9, 1.2),
    "tsh": Test("3016-3", "Thyrotropin", "m[IU]/L", 0.4, 4.5),
    "ft4": Test("3024-7", "Free thyroxine", "ng/dL", 0.8, 1.8),
    "tg": Test("3013-0", "Thyroglobulin", "ng/mL", 1.4, 29.0),
    "tgab": Test("8098-6", "Thyroglobulin antibody", "[IU]/mL", None, 4.0),
    "pth": Test("2731-8", "Parathyrin intact", "pg/mL", 15, 65),
    "calcitonin": Test("1992-7", "Calcitonin", "pg/mL", None, 5.0),
    "ca153": Test("6875-9", "Cancer antigen 15-3", "[arb'U]/mL", None, 30),
    "ca199": Test("24108-3", "Cancer antigen 19-9", "[arb'U]/mL", None, 37),
    "esr": Test("4537-7", "Erythrocyte sedimentation rate", "mm/h", None, 20),
    "bili": Test("1975-2", "Bilirubin, total", "mg/dL", 0.2, 1.2),
    "alp": Test("6768-6", "Alkaline phosphatase", "U/L", 44, 121),
    "ggt": Test("2324-2", "Gamma-glutamyl transferase", "U/L", 5, 60),
    "lipase": Test("3040-3", "Lipase", "U/L", 13, 60),
    "egfr": Test("98979-8", "Glomerular filtration rate, estimated (CKD-EPI 2021)", "mL/min/{1.73_m2}", 60, None),
    "bun": Test("3094-0", "Urea nitrogen", "mg/dL", 7, 20),
    "ferritin": Test("2276-4", "Ferritin", "ng/mL", 15, 150),
    "vitd": Test("1989-3", "25-hydroxyvitamin D3", "ng/mL", 30, 100),
    "ldl": Test("13457-7", "Cholesterol in LDL, calculated", "mg/dL", None, 100),
    "levetiracetam": Test("30471-7", "Levetiracetam", "ug/mL", 12, 46),
    "lamotrigine": Test("6948-4", "Lamotrigine", "ug/mL", 3, 14),
    "psa": Test("2857-1", "Prostate specific antigen", "ng/mL", None, 4.0),
}

ICD10_NAMES = {
    "B18.1": "Chronic viral hepatitis B without delta-agent",
    "C25.0": "Malignant neoplasm of head of pancreas",
    "C34.11": "Malignant neoplasm of upper lobe, right bronchus or lung",
    "C43.59": "Malignant melanoma of other part of trunk",
    "C50.412": "Malignant neoplasm of upper-outer quadrant of left female breast",
    "C73": "Malignant neoplasm of thyroid gland",
    "D43.0": "Neoplasm of uncertain behavior of brain, supratentorial",
    "D50.9": "Iron deficiency anemia, unspecified",
    "D63.8": "Anemia in other chronic diseases classified elsewhere",
    "E03.9": "Hypothyroidism, unspecified",
    "E06.3": "Autoimmune thyroiditis",
    "E11.65": "Type 2 diabetes mellitus with hyperglycemia",
    "E11.9": "Type 2 diabetes mellitus without complications",
    "E66.9": "Obesity, unspecified",
    "E78.5": "Hyperlipidemia, unspecified",
    "F41.1": "Generalized anxiety disorder",
    "F81.9": "Developmental disorder of scholastic skills, unspecified",
    "G40.219": "Localization-related (focal) (partial) symptomatic epilepsy and epileptic syndromes with complex "
    "partial seizures, intractable, without status epilepticus",
    "G43.009": "Migraine without aura, not intractable, without status migrainosus",
    "G47.33": "Obstructive sleep apnea (adult) (pediatric)",
    "I10": "Essential (primary) hypertension",
    "I15.0": "Renovascular hypertension",
    "I34.0": "Nonrheumatic mitral (valve) insufficiency",
    "I35.0": "Nonrheumatic aortic (valve) stenosis",
    "I48.0": "Paroxysmal atrial fibrillation",
    "I71.21": "Aneurysm of the ascending aorta, without rupture",
    "J18.9": "Pneumonia, unspecified organism",
    "J30.2": "Other seasonal allergic rhinitis",
    "J44.9": "Chronic obstructive pulmonary disease, unspecified",
    "J45.20": "Mild intermittent asthma, uncomplicated",
    "K21.9": "Gastro-esophageal reflux disease without esophagitis",
    "K83.1": "Obstruction of bile duct",
    "M31.4": "Aortic arch syndrome [Takayasu]",
    "M43.16": "Spondylolisthesis, lumbar region",
    "M48.062": "Spinal stenosis, lumbar region with neurogenic claudication",
    "N18.31": "Chronic kidney disease, stage 3a",
    "N40.1": "Benign prostatic hyperplasia with lower urinary tract symptoms",
    "R56.9": "Unspecified convulsions",
}

DOCUMENT_TYPES = {
    "referral": ("57133-1", "Referral note"),
    "progress": ("11506-3", "Progress note"),
    "history": ("34117-2", "History and physical note"),
    "pathology": ("11526-1", "Pathology study"),
    "discharge": ("18842-5", "Discharge summary"),
    "procedure": ("28570-0", "Procedure note"),
    "consult": ("11488-4", "Consult note"),
    "conference": ("11488-4", "Consult note"),
    "summary": ("34133-9", "Summary of episode note"),
}


def coding(system: str, code: str, display: str) -> Resource:
    """A Coding."""
    return {"system": system, "code": code, "display": display}


def concept(system: str, code: str, display: str, text: str | None = None) -> Resource:
    """A CodeableConcept of one coding, its text the display unless another is given."""
    return {"coding": [coding(system, code, display)], "text": text or display}


def category(system: str, code: str, display: str) -> list[Resource]:
    """A category of an HL7 terminology code system."""
    return [{"coding": [coding(f"{TERMINOLOGY}/{system}", code, display)], "text": display}]
