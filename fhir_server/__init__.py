"""System of record and integration server: FHIR R4 REST and SMART authorization."""
