"""Tables of the index.  One version of an instance is one immutable object of the archive.

Times are float epoch seconds.  `attributes` is the level's part of the DICOM JSON model (PS3.18 F) as JSON text.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.types import TypeEngine

from konsil.outbox import outbox_table

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Beginnings of texts are ranges of bytes on both databases.
BYTEWISE: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")

# patient_key is PatientID with issuer: two issuers, two patients.  `conflict`: the same id and issuer came with another
# name and another birth date; such a patient is kept apart and never merged silently.
patient = Table(
    "patient",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("patient_key", Text, nullable=False, unique=True),
    Column("patient_id", BYTEWISE, nullable=False, index=True),
    Column("issuer", Text, nullable=False),
    Column("patient_name", Text, nullable=False),
    Column("name_alphabetic", BYTEWISE, nullable=False, index=True),
    Column("name_ideographic", BYTEWISE, nullable=False, index=True),
    Column("name_phonetic", BYTEWISE, nullable=False, index=True),
    Column("birth_date", Text, nullable=False),
    Column("sex", Text, nullable=False),
    Column("conflict", Boolean, nullable=False, default=False),
    Column("attributes", Text, nullable=False),
)

# source_patient_id: whom the sender names.  patient_id: whose study it is now; differs after reconciliation.
study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", Text, nullable=False, unique=True),
    Column("patient_id", Integer, ForeignKey("patient.id"), nullable=False, index=True),
    Column("source_patient_id", Integer, ForeignKey("patient.id"), nullable=False),
    Column("study_date", Text, nullable=False, index=True),
    Column("study_time", Text, nullable=False),
    Column("accession_number", BYTEWISE, nullable=False, index=True),
    Column("study_id", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("referring_physician", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", Integer, ForeignKey("study.id"), nullable=False, index=True),
    Column("series_instance_uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("series_number", Integer),
    Column("description", Text, nullable=False),
    Column("body_part", Text, nullable=False),
    Column("step_start_date", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    UniqueConstraint("study_id", "series_instance_uid"),
)

# state: quarantined | released | rejected.  flag: "" | conflict (same UID, other content, kept as a version beside) |
# other-patient (names another patient than its study).  retrieval: the task that asked for it, NULL when unsolicited.
# admission: the case that a person stored this for ("Task/id"), or "released": for a study that stood open.
instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_id", Integer, ForeignKey("series.id"), nullable=False),
    Column("study_id", Integer, ForeignKey("study.id"), nullable=False),
    Column("sop_instance_uid", Text, nullable=False, unique=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("instance_number", Integer),
    Column("frames", Integer, nullable=False, default=1),
    Column("state", Text, nullable=False),
    Column("flag", Text, nullable=False, default=""),
    Column("version_id", Integer, nullable=True),
    Column("source_peer", Text, nullable=False, default=""),
    Column("retrieval", Text, index=True),
    Column("admission", Text, nullable=False, server_default=""),
    Column("attributes", Text, nullable=False),
    Column("received_at", Float, nullable=False),
    Index(None, "study_id", "state"),
    Index(None, "series_id", "state"),
)

# kind: original | coerced | conflicting.  content_hash: BLAKE3 of the data set's bytes, which begin at data_set_offset.
# decision: what made a coerced version (the reconciliation task).
version = Table(
    "version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("instance_id", Integer, ForeignKey("instance.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data_set_offset", Integer, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("decision", Text, nullable=False, default=""),
    Column("source_peer", Text, nullable=False, default=""),
    Column("calling_ae_title", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("instance_id", "content_hash"),
)

# How far each journal segment has been taken into archive and index; written in the transaction of the index rows.
journal = Table(
    "journal",
    metadata,
    Column("segment", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# What came by each association (or retrieval, or import) of each study, and how much of it the audit has been told.
reception = Table(
    "reception",
    metadata,
    Column("association", Text, primary_key=True),
    Column("study_instance_uid", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
)

# What could not be indexed although it was accepted: kept in the archive, for a person to look at.
unindexed = Table(
    "unindexed",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

# What a registered peer sent and nobody can read: kept in the archive as it came.  retrieval: the task it came for.
set_aside = Table(
    "set_aside",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("retrieval", Text, index=True),
    Column("reason", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

# can, calling_ae_titles, addresses, readers, hours: JSON lists.  tls: JSON, empty without.  capabilities: JSON,
# learned by probing and by use.
peer = Table(
    "peer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("ae_title", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("our_ae_title", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("issuer_oid", Text, nullable=False),
    Column("charset", Text, nullable=False),
    Column("can", Text, nullable=False),
    Column("forward", Boolean, nullable=False),
    Column("readers", Text, nullable=False, server_default="[]"),
    Column("id_domain", Text, nullable=False),
    Column("calling_ae_titles", Text, nullable=False),
    Column("addresses", Text, nullable=False),
    Column("tls", Text, nullable=False, server_default=""),
    Column("capabilities", Text, nullable=False),
    Column("reachable", Boolean),
    Column("checked_at", Float),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("associations_at_once", Integer, nullable=False, server_default="0"),
    Column("associations_per_minute", Integer, nullable=False, server_default="0"),
    Column("from_file", Boolean, nullable=False, server_default=false()),
    Column("hours", Text, nullable=False, server_default="[]"),
    Column("kilobytes_per_second", Integer, nullable=False, server_default="0"),
    Column("dicomweb", Text, nullable=False, server_default=""),
)

# What was changed of a peer, by whom; `details` is JSON: pairs of member and words.
peer_change = Table(
    "peer_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("peer", Text, nullable=False, index=True),
    Column("changed_at", Float, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("details", Text, nullable=False),
)

# Associations that peers opened with us, kept some days: how a failed C-MOVE is diagnosed.
association = Table(
    "association",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calling_ae_title", Text, nullable=False),
    Column("called_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("started_at", Float, nullable=False, index=True),
)

# state: requested | listing | fetching | verifying | waiting | completed | failed | cancelled.
# revision grows with every change that somebody outside should see.
# priority: as retrieve.PRIORITIES has it; the higher goes first.
retrieval = Table(
    "retrieval",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("method", Text, nullable=False, default=""),
    Column("expected", Integer),
    Column("received", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("completeness", Text),
    Column("cause", Text),
    Column("detail", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("rounds", Integer, nullable=False, default=0),
    Column("listing", Text, nullable=False, default=""),
    Column("revision", Integer, nullable=False, default=1),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("finished_at", Float),
)

# expected: how many the peer announced, NULL when it does not say.  state: due | fetched | failed.
retrieval_series = Table(
    "retrieval_series",
    metadata,
    Column("task_id", Text, ForeignKey("retrieval.task_id"), primary_key=True),
    Column("series_instance_uid", Text, primary_key=True),
    Column("expected", Integer),
    Column("state", Text, nullable=False),
    Column("cause", Text),
)

retrieval_instance = Table(
    "retrieval_instance",
    metadata,
    Column("task_id", Text, ForeignKey("retrieval.task_id"), primary_key=True),
    Column("sop_instance_uid", Text, primary_key=True),
    Column("series_instance_uid", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("cause", Text),
)

outbox = outbox_table(metadata)
