"""Resources, history, index tables."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0001_store"
down_revision = None

TABLES = [
    "resource",
    "history",
    "search_parameter",
    "database_value",
    "index_token",
    "index_string",
    "index_date",
    "index_number",
    "index_quantity",
    "index_reference",
    "index_uri",
]


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables[name] for name in TABLES])
