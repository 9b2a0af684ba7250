"""Keeping what came: proof that archive, journal, index and FHIR agree, torn journals, retention and legal hold."""
