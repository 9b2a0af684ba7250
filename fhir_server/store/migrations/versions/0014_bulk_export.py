"""Bulk exports: what was asked for, how far it has come, and its files."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0014_bulk_export"
down_revision = "0013_values_in_the_index"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["bulk_export"], metadata.tables["bulk_export_file"]])
