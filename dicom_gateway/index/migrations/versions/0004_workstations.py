"""Who may have studies sent to which destination, and who asked for it."""

import sqlalchemy as sa
from alembic import op

from dicom_gateway.index.models import metadata

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("peer", sa.Column("readers", sa.Text(), nullable=False, server_default="[]"))
    metadata.create_all(op.get_bind(), tables=[metadata.tables["forwarding_request"]])
