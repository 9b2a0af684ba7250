"""Tables of legal holds and of what was deleted, in the index's database.  Times are float epoch seconds."""

from sqlalchemy import Column, Float, Integer, Table, Text

from dicom_gateway.index.models import metadata

# A study that is not deleted, whatever the rules say.
legal_hold = Table(
    "legal_hold",
    metadata,
    Column("study_instance_uid", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", Float, nullable=False),
)

# Every hold placed and lifted, and every study deleted.  what: hold | lift | delete.  objects: JSON, of a deleted study
# [[SOP Instance UID, kind, BLAKE3 of the data set, BLAKE3 of the file, bytes]].
keeping_trace = Table(
    "keeping_trace",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("done_by", Text, nullable=False),
    Column("done_at", Float, nullable=False),
    Column("objects", Text, nullable=False),
)
