"""Composite parameters, quantities in base units, and which parameters are ready to be searched."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store.models import metadata

revision = "0005_search"
down_revision = "0004_value_first"

CANONICAL = ("canonical_low", "canonical_high")


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection, tables=[metadata.tables[name] for name in ("index_composite", "reindex")])
    inspector = sa.inspect(connection)
    if "ready" not in {column["name"] for column in inspector.get_columns("search_parameter")}:
        op.add_column("search_parameter", sa.Column("ready", sa.Boolean, nullable=False, server_default=sa.true()))
    if "canonical_low" not in {column["name"] for column in inspector.get_columns("index_quantity")}:
        _add_canonical_quantities()


def _add_canonical_quantities() -> None:
    """Columns that the reindex fills; until then a quantity stands for itself."""
    for name in CANONICAL:
        op.add_column("index_quantity", sa.Column(name, sa.Double, nullable=False, server_default="0"))
    op.execute("UPDATE index_quantity SET canonical_low = low, canonical_high = high")
    op.drop_index("index_quantity_value", "index_quantity")
    op.create_index("index_quantity_value", "index_quantity", ["parameter", "code_hash", "canonical_low", "row_id"])
