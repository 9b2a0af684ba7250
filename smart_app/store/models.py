"""Tables of smart_app.  Times are seconds since the epoch; what names a patient or opens a door is sealed (AES-GCM)."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)

from konsil.outbox import outbox_table

metadata = MetaData()

client_key = Table(
    "client_key",
    metadata,
    Column("name", String(40), primary_key=True),  # client | system
    Column("client_id", String(200), nullable=False),
    Column("key", LargeBinary, nullable=False),  # sealed private JWK
)

tenant = Table(
    "tenant",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("fhir_base", String(500), nullable=False, unique=True),
    Column("issuer", String(500), nullable=False, unique=True),
    Column("content", LargeBinary, nullable=False),  # sealed JSON of tenants.Tenant, keys included
    Column("version", Integer, nullable=False, server_default="1"),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("from_file", Boolean, nullable=False, server_default=false()),
)

tenant_change = Table(
    "tenant_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant", String(100), nullable=False, index=True),
    Column("changed_at", Float, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("what", String(40), nullable=False),
    Column("details", Text, nullable=False),  # JSON: pairs of member and words, never a key
)

session = Table(
    "session",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("subject", String(600)),  # issuer and sub of the person, once known
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
)

authorization_request = Table(
    "authorization_request",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("session_id", String(36), nullable=False),
    Column("issuer", String(500), nullable=False),
    Column("content", LargeBinary, nullable=False),  # sealed JSON: verifier, nonce, endpoints, return path
    Column("expires_at", Float, nullable=False, index=True),
    Column("used_at", Float),
)

launch = Table(
    "launch",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("session_id", String(36), nullable=False, index=True),
    Column("tenant", String(100)),  # NULL: signed in at our own server
    Column("content", LargeBinary, nullable=False),  # sealed JSON of launches.Launch without its tokens
    Column("tokens", LargeBinary, nullable=False),  # sealed JSON: tokens at the EHR and at our server
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("used_at", Float),  # NULL: not since it began
)

flash = Table(
    "flash",
    metadata,
    Column("launch_id", String(36), primary_key=True),
    Column("content", LargeBinary, nullable=False),  # sealed JSON of flash.Flash
    Column("created_at", Float, nullable=False),
)

tour = Table(
    "tour",
    metadata,
    Column("person", String(200), primary_key=True),  # Practitioner/x
    Column("role", String(40), primary_key=True),
    Column("left_at", Float, nullable=False),
)

draft = Table(
    "draft",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(200), nullable=False),  # Practitioner/x
    Column("patient", String(200), nullable=False),  # Patient/x of our server
    Column("purpose", String(40), nullable=False),  # request | report: what is being written
    Column("focus", String(200), nullable=False),  # request: the patient; report: the case Task
    Column("state", String(10), nullable=False),  # open | sending | sent
    Column("version", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),  # sealed JSON
    Column("updated_at", Float, nullable=False),
    Index("draft_open", "owner", "purpose", "focus", "state"),
)

draft_part = Table(
    "draft_part",
    metadata,
    Column("draft_id", String(36), nullable=False),
    Column("name", String(40), nullable=False),  # chart | priors | consent
    Column("content", LargeBinary, nullable=False),  # sealed bytes
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("draft_id", "name"),
)

writeback = Table(
    "writeback",
    metadata,
    Column("case_id", String(100), nullable=False),
    Column("report", String(300), nullable=False),  # DiagnosticReport/x/_history/n
    Column("tenant", String(100), nullable=False),
    Column("state", String(10), nullable=False),  # waiting | done | failed
    Column("detail", Text, nullable=False),
    Column("document", String(300)),
    Column("outbox_key", String(300), nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("case_id", "report", "tenant"),
)

case_seen = Table(
    "case_seen",
    metadata,
    Column("person", String(200), nullable=False),  # Practitioner/x
    Column("case_id", String(100), nullable=False),
    Column("moment", String(40), nullable=False),  # meta.lastUpdated of the newest message that was shown
    UniqueConstraint("person", "case_id"),
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("since", String(40), nullable=False),
    Column("seen", Text, nullable=False),  # JSON: id/version already handled at or after `since`
)

outbox = outbox_table(metadata)
