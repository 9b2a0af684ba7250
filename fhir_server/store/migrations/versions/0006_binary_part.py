"""Bytes of large Binaries, out of their rows."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0006_binary_part"
down_revision = "0005_search"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["binary_part"]])
