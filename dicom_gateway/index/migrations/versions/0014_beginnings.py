"""Names, patient ids and accession numbers ordered by bytes, so that an index finds them by their beginning."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
ORDERED = {
    "patient": ("patient_id", "name_alphabetic", "name_ideographic", "name_phonetic"),
    "study": ("accession_number",),
}


def upgrade() -> None:
    connection = op.get_bind()
    for table, names in ORDERED.items():
        indexed = {index["column_names"][0] for index in sa.inspect(connection).get_indexes(table)}
        for name in names:
            if connection.dialect.name == "postgresql":
                op.alter_column(table, name, type_=sa.Text(collation="C"))
            if name not in indexed:
                op.create_index(f"ix_{table}_{name}", table, [name])
