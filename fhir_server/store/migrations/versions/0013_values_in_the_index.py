"""Numbers of composites, and of a patient's quantities, are compared in the index and not row by row."""

import sqlalchemy as sa
from alembic import op

revision = "0013_values_in_the_index"
down_revision = "0012_words"

COLUMNS = {
    "index_composite_value": (
        "index_composite",
        ["parameter", "hash_1", "hash_2", "canonical_low_2", "canonical_high_2", "low_2", "high_2", "row_id"],
    ),
    "index_quantity_patient": (
        "index_quantity",
        ["patient_key", "parameter", "code_hash", "canonical_low", "canonical_high", "low", "high", "row_id"],
    ),
}


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    for name, (table, wanted) in COLUMNS.items():
        present = {index["name"]: index["column_names"] for index in inspector.get_indexes(table)}
        if present[name] != wanted:
            op.drop_index(name, table)
            op.create_index(name, table, wanted)
