"""Who did what, and who saw whom: AuditEvents of every interaction, kept so that tampering shows.  docs/audit.md

A write puts its event down in its own transaction (`store/writer.py`); what was read goes to `journal.py`, which writes
many at once. `chain.py` links and signs what is written, `listing.py` makes searchable resources of it, `verify.py`
proves both. An event is an AuditEvent in the shapes of IHE's Basic Audit Log Patterns (`event.py`).
"""
