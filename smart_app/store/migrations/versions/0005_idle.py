"""When a launch was last used."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("launch", sa.Column("used_at", sa.Float()))
