"""Canonical resources (StructureDefinition, ValueSet, CodeSystem, ...) and what a canonical URL means here."""
