"""Clients, accounts, sessions, grants, keys."""

from alembic import op

from fhir_server.store import auth_models

revision = "0002_auth"
down_revision = "0001_store"


def upgrade() -> None:
    tables = [table for table in auth_models.metadata.tables.values() if table.name.startswith("auth_")]
    auth_models.metadata.create_all(op.get_bind(), tables=tables)
