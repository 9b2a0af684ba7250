"""Objects that peers sent and nobody can read."""

from alembic import op

from dicom_gateway.index.models import metadata

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["set_aside"]])
