"""What administrators change has a version, and says who changed it; accounts say when they were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0015_administration"
down_revision = "0014_bulk_export"


def upgrade() -> None:
    for table in ("auth_client", "auth_account", "auth_tenant"):
        present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for column in _columns(table):
            if column.name not in present:
                op.add_column(table, column)


def _columns(table: str) -> list[sa.Column]:
    columns = [
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("changed_at", sa.Double()),
        sa.Column("changed_by", sa.Text()),
        sa.Column("from_file", sa.Boolean(), nullable=False, server_default=sa.false()),
    ]
    return [*columns, sa.Column("signed_in_at", sa.Double())] if table == "auth_account" else columns
