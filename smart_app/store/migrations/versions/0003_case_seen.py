"""Up to which message each person has seen a case."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "case_seen",
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("case_id", sa.String(length=100), nullable=False),
        sa.Column("moment", sa.String(length=40), nullable=False),
        sa.UniqueConstraint("person", "case_id"),
    )
