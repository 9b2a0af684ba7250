"""Checks on what is to be stored.  https://hl7.org/fhir/R4/validation.html"""
