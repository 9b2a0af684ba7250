"""Metadata by version, viewer sessions, the cursor over the FHIR server's Tasks, publications, forwardings."""

from alembic import op

from dicom_gateway.index.exchange import metadata

revision = "0002"
down_revision = "0001"

TABLES = [
    "version_metadata",
    "viewer_code",
    "viewer_session",
    "task_cursor",
    "publication",
    "forwarding",
    "forwarded_instance",
]


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables[name] for name in TABLES])
