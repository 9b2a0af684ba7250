"""Alembic revisions of the gateway's database (version table `alembic_version_dicom`)."""
