"""The audit journal and its seals."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0008_audit"
down_revision = "0007_loose_bytes"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["audit"], metadata.tables["audit_seal"]])
