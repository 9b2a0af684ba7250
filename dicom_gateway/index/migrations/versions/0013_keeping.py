"""Legal holds, and the trace of what was deleted."""

from alembic import op

from dicom_gateway.index.keeping import keeping_trace, legal_hold
from dicom_gateway.index.models import metadata

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[legal_hold, keeping_trace])
