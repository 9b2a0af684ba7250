"""The hash by which references find a resource, on the resource too."""

import sqlalchemy as sa
from alembic import op

from fhir_server.search.hashing import hash64

revision = "0003_identity_hash"
down_revision = "0002_auth"


def upgrade() -> None:
    connection = op.get_bind()
    if "identity_hash" in {column["name"] for column in sa.inspect(connection).get_columns("resource")}:
        return
    op.add_column("resource", sa.Column("identity_hash", sa.BigInteger))
    resource = sa.table(
        "resource", *(sa.column(n) for n in ("row_id", "resource_type", "resource_id", "identity_hash"))
    )
    rows = connection.execute(sa.select(resource.c.row_id, resource.c.resource_type, resource.c.resource_id)).all()
    statement = sa.update(resource).where(resource.c.row_id == sa.bindparam("key"))
    if rows:
        connection.execute(
            statement.values(identity_hash=sa.bindparam("hash")),
            [{"key": row_id, "hash": hash64(type_, id_)} for row_id, type_, id_ in rows],
        )
    op.create_index("resource_identity_hash", "resource", ["identity_hash"])
