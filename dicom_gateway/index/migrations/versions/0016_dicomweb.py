"""Where a peer offers DICOMweb."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("peer", sa.Column("dicomweb", sa.Text(), nullable=False, server_default=""))
