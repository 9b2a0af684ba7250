"""Peers have versions, limits, and a list of what was changed of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    numbers = {"version": "1", "associations_at_once": "0", "associations_per_minute": "0"}
    for name, default in numbers.items():
        op.add_column("peer", sa.Column(name, sa.Integer(), nullable=False, server_default=default))
    op.add_column("peer", sa.Column("from_file", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "peer_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_peer_change"),
    )
    op.create_index("ix_peer_change_peer", "peer_change", ["peer"])
