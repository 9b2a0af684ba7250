"""Tables of what passes between the gateway, the FHIR server and the viewers; in the index's database and metadata.

Times are float epoch seconds. Codes and cookies are known by their SHA-256 only, tokens are sealed.
"""

from sqlalchemy import Column, Float, ForeignKey, Integer, LargeBinary, Table, Text, UniqueConstraint

from dicom_gateway.index.models import metadata

# The DICOM JSON model of one version, deflated; made when the version is first asked for or made by us.
version_metadata = Table(
    "version_metadata",
    metadata,
    Column("object_key", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

viewer_code = Table(
    "viewer_code",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("sealed_token", LargeBinary, nullable=False),
    Column("case_reference", Text, nullable=False),
    Column("studies", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)

viewer_session = Table(
    "viewer_session",
    metadata,
    Column("session_hash", Text, primary_key=True),
    Column("sealed_token", LargeBinary, nullable=False),
    Column("case_reference", Text, nullable=False),
    Column("studies", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)

# How far Task/_history has been read: `since` is the newest lastUpdated seen, as the server wrote it.
task_cursor = Table(
    "task_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", Text, nullable=False),
)

# One retrieval Task and what became of it.  state: retrieving | arrived | waiting | deciding | published | rejected |
# failed. revision: the last state of the retrieval that was told to the FHIR server.  References are `Type/id`.
publication = Table(
    "publication",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("case_reference", Text, nullable=False),
    Column("patient_reference", Text, nullable=False),
    Column("focus_reference", Text, nullable=False),
    Column("revision", Integer, nullable=False, default=0),
    Column("reconciliation_task_id", Text, index=True),
    Column("decision", Text, nullable=False, default=""),
    Column("updated_at", Float, nullable=False),
)

# Studies sent on.  state: due | sending | sent | failed | withheld | cancelled.  rule: the one it follows, or empty.
forwarding = Table(
    "forwarding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", Text, nullable=False),
    Column("peer", Text, ForeignKey("peer.name"), nullable=False),
    Column("state", Text, nullable=False),
    Column("total", Integer, nullable=False, default=0),
    Column("sent", Integer, nullable=False, default=0),
    Column("cause", Text),
    Column("remedy", Text),
    Column("updated_at", Float, nullable=False),
    Column("rule", Text, nullable=False, server_default=""),
    UniqueConstraint("study_instance_uid", "peer"),
)

# Instances that a destination confirmed, so that a killed sender goes on where it stopped.
forwarded_instance = Table(
    "forwarded_instance",
    metadata,
    Column("forwarding_id", Integer, ForeignKey("forwarding.id"), primary_key=True),
    Column("version_id", Integer, ForeignKey("version.id"), primary_key=True),
)

# Each time that a reader of a case asked for a study at a destination: what an audit asks for, so nothing is changed.
forwarding_request = Table(
    "forwarding_request",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("forwarding_id", Integer, ForeignKey("forwarding.id"), nullable=False, index=True),
    Column("case_reference", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Float, nullable=False),
)

# A storage commitment.  forwarding_id: what was sent, when we asked; NULL when the peer asked us.  state: asked |
# committed | failed | unanswered (we asked); due | reported (asked of us).  items: [[class, instance]], failed:
# [[class, instance, reason]], as JSON.
commitment = Table(
    "commitment",
    metadata,
    Column("transaction_uid", Text, primary_key=True),
    Column("peer", Text, nullable=False),
    Column("forwarding_id", Integer, ForeignKey("forwarding.id"), nullable=True, index=True),
    Column("state", Text, nullable=False),
    Column("items", Text, nullable=False),
    Column("failed", Text, nullable=False, default="[]"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
