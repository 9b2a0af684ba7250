"""Accounts of patients and proxies: invitations, for whom a proxy acts, changes of e-mail, mails, codes by e-mail."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store import auth_joining_models

revision = "0016_joining"
down_revision = "0015_administration"
COLUMNS = {
    "auth_account": [
        sa.Column("email", sa.Text),
        sa.Column("email_codes", sa.Boolean, nullable=False, server_default=sa.false()),
    ],
    "auth_step": [sa.Column("failures", sa.Integer, nullable=False, server_default="0")],
}
TABLES = ("auth_invitation", "auth_acting", "auth_email_change", "auth_mail")


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    for table, columns in COLUMNS.items():
        present = {column["name"] for column in inspector.get_columns(table)}
        for column in columns:
            if column.name not in present:
                op.add_column(table, column)
    known = auth_joining_models.metadata
    known.create_all(op.get_bind(), tables=[known.tables[name] for name in TABLES])
