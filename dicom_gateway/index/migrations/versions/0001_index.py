"""Index, peers, retrievals, outbox."""

from alembic import op

from dicom_gateway.index.models import metadata

revision = "0001"
down_revision = None

TABLES = [
    "patient",
    "study",
    "series",
    "instance",
    "version",
    "journal",
    "unindexed",
    "peer",
    "association",
    "retrieval",
    "retrieval_series",
    "retrieval_instance",
    "outbox",
]


def upgrade() -> None:
    metadata.create_all(op.get_bind(), tables=[metadata.tables[name] for name in TABLES])
