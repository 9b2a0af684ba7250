"""Tenants have versions, may be deactivated, and keep a list of what was changed of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("tenant", sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("tenant", sa.Column("from_file", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "tenant_change",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("tenant", sa.String(length=100), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
    )
    op.create_index("ix_tenant_change_tenant", "tenant_change", ["tenant"])
