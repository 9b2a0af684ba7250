"""Bytes of uploads that no Binary names yet, or no longer."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0007_loose_bytes"
down_revision = "0006_binary_part"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["loose_bytes"]])
