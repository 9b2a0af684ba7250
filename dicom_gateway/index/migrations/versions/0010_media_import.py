"""Media that HIM staff upload for a case."""

from alembic import op

from dicom_gateway.index.imports import media_import
from dicom_gateway.index.models import metadata

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[media_import])
