"""SMART on FHIR app: ask for, give and receive a second opinion."""
