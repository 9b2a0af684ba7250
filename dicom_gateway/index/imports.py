"""Table of uploaded media; in the index's database and metadata.  Times are float epoch seconds."""

from sqlalchemy import Column, Float, Integer, Table, Text

from dicom_gateway.index.models import metadata

# state: receiving | waiting | importing | done | failed | cancelled.  files: JSON [[name, bytes]], empty once it is
# over.  done: files looked at so far.  result: JSON, what became of them.  References are `Type/id`.
media_import = Table(
    "media_import",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_reference", Text, nullable=False),
    Column("patient_reference", Text, nullable=False),
    Column("focus_reference", Text, nullable=False),
    Column("imported_by", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("files", Text, nullable=False),
    Column("done", Integer, nullable=False, default=0),
    Column("result", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
