"""A second step of signing in, what a person has begun, and clients and tenants that were deactivated."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store.models import metadata

revision = "0010_second_factor"
down_revision = "0009_wide_dates"
COLUMNS = {
    "auth_client": [sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false())],
    "auth_tenant": [sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false())],
    "auth_account": [sa.Column("totp_sealed", sa.LargeBinary), sa.Column("totp_step", sa.BigInteger)],
}


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    for table, columns in COLUMNS.items():
        present = {column["name"] for column in inspector.get_columns(table)}
        for column in columns:
            if column.name not in present:
                op.add_column(table, column)
    metadata.create_all(op.get_bind(), tables=[metadata.tables["auth_step"]])
