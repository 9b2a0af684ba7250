"""Bulk Data Access: what is asked for, the work in steps, the manifest.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""
