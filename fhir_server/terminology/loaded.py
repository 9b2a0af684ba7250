"""The refusal for what is not on this server, in words that say what to do about it."""

from fhir_server.errors import NotLoaded

LICENSED = {
    "http://snomed.info/sct": "SNOMED CT",
    "http://loinc.org": "LOINC",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
}
REMEDY = (
    "Load a package that holds it (konsil fhir load-package), or name a terminology server "
    "(KONSIL_FHIR_TERMINOLOGY_SERVER)."
)


def not_loaded(kind: str, canonical: str) -> NotLoaded:
    """`kind` is "code system", "value set" or "concept map"."""
    name = LICENSED.get(canonical.partition("|")[0])
    what = f"{name} ({canonical})" if name else canonical[:200]
    licence = " Its content needs a licence of its owner." if name else ""
    return NotLoaded(f"The {kind} {what} is not loaded on this server. {REMEDY}{licence}")
