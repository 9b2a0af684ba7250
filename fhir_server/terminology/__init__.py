"""Codes: code systems, value sets, concept maps.  https://hl7.org/fhir/R4/terminology-module.html

Pure and synchronous: everything is answered from the definitions of `conformance/canonicals.py`.
"""
