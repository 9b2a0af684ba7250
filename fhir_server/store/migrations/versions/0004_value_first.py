"""Value first means value, then row: so that a condition can be asked of one row, too."""

import sqlalchemy as sa
from alembic import op

revision = "0004_value_first"
down_revision = "0003_identity_hash"

COLUMNS = {"index_token": "code_hash", "index_reference": "target_hash"}


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    for table, column in COLUMNS.items():
        name, wanted = f"{table}_value", ["parameter", column, "row_id"]
        present = {index["name"]: index["column_names"] for index in inspector.get_indexes(table)}
        if present[name] != wanted:
            op.drop_index(name, table)
            op.create_index(name, table, wanted)
