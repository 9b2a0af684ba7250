"""Routing rules; which of them a forwarding follows; when and how fast a peer may be sent to."""

import sqlalchemy as sa
from alembic import op

from dicom_gateway.index.models import metadata
from dicom_gateway.index.routing import routing_rule, routing_rule_change

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[routing_rule, routing_rule_change])
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("forwarding")}
    if "rule" not in known:  # 0002 makes the table as it is now
        op.add_column("forwarding", sa.Column("rule", sa.Text(), nullable=False, server_default=""))
    op.add_column("peer", sa.Column("hours", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("peer", sa.Column("kilobytes_per_second", sa.Integer(), nullable=False, server_default="0"))
