"""An index of the dates that last long, so that a range of dates is read from its beginning and not from the first."""

import sqlalchemy as sa
from alembic import op

from fhir_server.store.models import index_date

revision = "0009_wide_dates"
down_revision = "0008_audit"
NAME = "index_date_wide"


def upgrade() -> None:
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("index_date")}
    if NAME not in present:
        next(index for index in index_date.indexes if index.name == NAME).create(op.get_bind())
