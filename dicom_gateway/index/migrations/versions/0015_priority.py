"""How urgent a retrieval is."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("retrieval", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
