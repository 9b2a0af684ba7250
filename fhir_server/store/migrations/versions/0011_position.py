"""Places of Locations, for `near`."""

from alembic import op

from fhir_server.store.models import metadata

revision = "0011_position"
down_revision = "0010_second_factor"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["index_position"]])
