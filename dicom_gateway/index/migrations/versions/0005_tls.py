"""How a peer is reached and known by TLS."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("peer", sa.Column("tls", sa.Text(), nullable=False, server_default=""))
