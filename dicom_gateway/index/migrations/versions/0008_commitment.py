"""Storage commitments asked of destinations, and asked of us."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "commitment",
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("forwarding_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("failed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["forwarding_id"], ["forwarding.id"], name="fk_commitment_forwarding_id_forwarding"),
        sa.PrimaryKeyConstraint("transaction_uid", name="pk_commitment"),
    )
    op.create_index("ix_commitment_forwarding_id", "commitment", ["forwarding_id"])
