"""Which sensitive labels a resource carries, as a column: asked of its tokens they cost each read a third."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store.sensitive import may_be_labelled, relabelled

revision = "0019_labels"
down_revision = "0018_signing"


def upgrade() -> None:
    connection = op.get_bind()
    if "labels" in {column["name"] for column in sa.inspect(connection).get_columns("resource")}:
        return
    op.add_column("resource", sa.Column("labels", sa.Integer, nullable=False, server_default="0"))
    connection.execute(relabelled(may_be_labelled()))
