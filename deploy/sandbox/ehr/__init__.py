"""The pretend hospital's EHR: two FHIR servers with a record system's screens around them, in one process."""
