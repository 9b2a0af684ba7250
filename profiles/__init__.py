"""FHIR artefacts of the second-opinion case, as data."""
