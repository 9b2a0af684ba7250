"""For which case an instance was stored."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("instance", sa.Column("admission", sa.Text(), nullable=False, server_default=""))
