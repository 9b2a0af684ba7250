"""Peers that were deactivated."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("peer", sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()))
