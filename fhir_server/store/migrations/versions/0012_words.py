"""Whole texts, for `_text` and `_content`; empty where they are not indexed."""

from alembic import op

from fhir_server.store.models import metadata
from fhir_server.store.whole_texts import INDEX

revision = "0012_words"
down_revision = "0011_position"


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection, tables=[metadata.tables["index_words"]])
    for statement in INDEX[connection.dialect.name]:
        op.execute(statement)
