"""What came by each association, for the audit."""

from alembic import op

from dicom_gateway.index.models import metadata

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables["reception"]])
