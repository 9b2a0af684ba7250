"""Signing transactions, and the PIN by which a person proves herself for one."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store.models import metadata

revision = "0018_signing"
down_revision = "0017_identity_provider"
COLUMNS = [
    sa.Column("pin_hash", sa.Text),
    sa.Column("pin_failures", sa.Integer, nullable=False, server_default="0"),
]


def upgrade() -> None:
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("auth_account")}
    for column in COLUMNS:
        if column.name not in present:
            op.add_column("auth_account", column)
    metadata.create_all(op.get_bind(), tables=[metadata.tables["auth_signing"]])
