"""Tables of the FHIR store: current resources, history, narrow typed index rows.

Plain columns only (integers, floats, text, bytes, booleans) without Python-side defaults: the driver seam runs
compiled SQL and nothing else of SQLAlchemy. Times are microseconds since the epoch. Each index row repeats the
resource's patient as a 64-bit key, so that every parameter can be read value first or patient first. Hashes only choose
rows; the full text beside them decides, so a collision cannot leak.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
    true,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData()

# Ranges of text are compared by bytes on both databases.
BYTEWISE: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
ROW_ID: TypeEngine[int] = BigInteger().with_variant(Integer, "sqlite")


def _state_columns() -> list[Column[Any]]:
    """What a version of a resource carries, the same in `resource` and `history`."""
    return [
        Column("resource_type", Text, nullable=False),
        Column("resource_id", Text, nullable=False),
        Column("version_id", Integer, nullable=False),
        Column("last_updated", BigInteger, nullable=False),
        Column("patient", Text),
        Column("organization", Text),
        Column("quarantined", Boolean, nullable=False),
        Column("content", LargeBinary),
        Column("subject", Text),
        Column("client_id", Text),
        Column("fhir_user", Text),
    ]


# One row for each living resource; `row_id` stays the same over its versions. `moment` is its main clinical date,
# `identity_hash` what references to it have as `target_hash`, `labels` the sensitive labels among its tokens
# (`access/labels.py`), a bit each.
resource = Table(
    "resource",
    metadata,
    Column("row_id", ROW_ID, primary_key=True, autoincrement=False),
    *_state_columns(),
    Column("moment", BigInteger, nullable=False),
    Column("identity_hash", BigInteger),
    Column("labels", Integer, nullable=False, server_default="0"),
    Index("resource_identity_hash", "identity_hash"),
    Index("resource_identity", "resource_type", "resource_id", unique=True),
    Index("resource_in_order", "resource_type", "row_id"),
    Index("resource_last_updated", "resource_type", "last_updated", "row_id"),
    Index("resource_moment", "resource_type", "moment", "row_id"),
    Index("resource_patient", "patient", "resource_type", "moment", "row_id"),
    Index("resource_everything_updated", "last_updated", "row_id"),
)

# What is read of a version of a resource.
STATE = (
    "row_id",
    "resource_type",
    "resource_id",
    "version_id",
    "last_updated",
    "patient",
    "organization",
    "quarantined",
    "content",
)

# Every superseded version and every deletion (content is NULL there). `interaction`: create, update or delete.
history = Table(
    "history",
    metadata,
    Column("row_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version_id", Integer, primary_key=True, autoincrement=False),
    *[column for column in _state_columns() if column.name != "version_id"],
    Column("interaction", Text, nullable=False),
    Index("history_identity", "resource_type", "resource_id", "version_id", unique=True),
    Index("history_last_updated", "resource_type", "last_updated", "row_id"),
    Index("history_everything_updated", "last_updated", "row_id"),
)

# Small numbers for (resource type, search parameter code), given once and never changed. `expression` is what the rows
# were made from; a parameter that is not `ready` is written, yet cannot be searched until a reindex has ended.
search_parameter = Table(
    "search_parameter",
    metadata,
    Column("parameter", SmallInteger, primary_key=True, autoincrement=False),
    Column("resource_type", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("expression", Text),
    Column("ready", Boolean, nullable=False, server_default=true()),
    Index("search_parameter_code", "resource_type", "code", unique=True),
)

# How far the reindex of a type has come: it goes on behind `position` while `parameters` are still those it began with.
reindex = Table(
    "reindex",
    metadata,
    Column("resource_type", Text, primary_key=True),
    Column("parameters", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=False),
)

# Values that belong to this database: the key that signs paging cursors.
database_value = Table("database_value", metadata, Column("name", Text, primary_key=True), Column("value", LargeBinary))


# Dates that last longer than 32 days are in an index of their own: all others of a moment began at most so long before.
NARROW = 32 * 86_400_000_000
IS_WIDE = f"high - low > {NARROW}"


def _index_table(
    name: str, *columns: Column[Any], value_first: tuple[str, ...], patient_first: tuple[str, ...] | None = ()
) -> Table:
    """A typed index table with its two orders: value first, and patient first with what is to be known of a row."""
    orders = [Index(f"{name}_value", "parameter", *value_first, "row_id"), Index(f"{name}_row", "row_id", "parameter")]
    if patient_first is not None:
        known = patient_first or (value_first[0], "moment")
        orders.append(Index(f"{name}_patient", "patient_key", "parameter", *known, "row_id"))
    return Table(
        name,
        metadata,
        Column("row_id", BigInteger, nullable=False),
        Column("parameter", SmallInteger, nullable=False),
        Column("patient_key", BigInteger),
        Column("moment", BigInteger, nullable=False),
        *columns,
        *orders,
    )


index_token = _index_table(
    "index_token",
    Column("code_hash", BigInteger, nullable=False),
    Column("system", Text, nullable=False),
    Column("code", Text, nullable=False),
    value_first=("code_hash",),
)
index_string = _index_table(
    "index_string",
    Column("value", BYTEWISE, nullable=False),
    Column("exact", Text, nullable=False),
    value_first=("value",),
    patient_first=None,
)
index_date = _index_table(
    "index_date",
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    value_first=("low", "high"),
)
Index(
    "index_date_wide",
    index_date.c.parameter,
    index_date.c.low,
    index_date.c.high,
    index_date.c.row_id,
    sqlite_where=text(IS_WIDE),
    postgresql_where=text(IS_WIDE),
)
index_number = _index_table(
    "index_number",
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    value_first=("low",),
    patient_first=None,
)
index_quantity = _index_table(
    "index_quantity",
    Column("code_hash", BigInteger, nullable=False),
    Column("system", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    # The same in UCUM's base units where the unit has some; `code_hash` is then that of the base unit.
    Column("canonical_low", Double, nullable=False),
    Column("canonical_high", Double, nullable=False),
    value_first=("code_hash", "canonical_low"),
    # Numbers are compared in the index: of a patient's, most do not match.
    patient_first=("code_hash", "canonical_low", "canonical_high", "low", "high"),
)
index_reference = _index_table(
    "index_reference",
    Column("target_hash", BigInteger, nullable=False),
    Column("target_type", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("url", Text),
    value_first=("target_hash",),
)
index_uri = _index_table(
    "index_uri", Column("value", BYTEWISE, nullable=False), value_first=("value",), patient_first=None
)

# Places as points of the unit sphere.
index_position = _index_table(
    "index_position",
    *(Column(axis, Double, nullable=False) for axis in "xyz"),
    value_first=("z", "x", "y"),
    patient_first=None,
)

# The words of whole texts, where they are indexed; `whole_texts.py` has what finds them.
index_words = Table(
    "index_words",
    metadata,
    Column("row_id", ROW_ID, primary_key=True, autoincrement=False),
    Column("parameter", SmallInteger, nullable=False),
    Column("patient_key", BigInteger),
    Column("moment", BigInteger, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("content", Text, nullable=False),
)

COMPONENTS = (1, 2, 3)
# One row for each group of a composite parameter; a component has what its type needs, the hash 0 where it has none.
index_composite = _index_table(
    "index_composite",
    *(
        Column(f"{name}_{n}", type_)
        for n in COMPONENTS
        for name, type_ in (
            ("hash", BigInteger),
            ("system", Text),
            ("code", Text),
            ("low", Double),
            ("high", Double),
            ("canonical_low", Double),
            ("canonical_high", Double),
        )
    ),
    # The second value is compared in the index, in base units or as it was written.
    value_first=("hash_1", "hash_2", "canonical_low_2", "canonical_high_2", "low_2", "high_2"),
)

INDEX_TABLES = {
    "token": index_token,
    "string": index_string,
    "date": index_date,
    "number": index_number,
    "quantity": index_quantity,
    "reference": index_reference,
    "uri": index_uri,
    "composite": index_composite,
    "special": index_position,
    "words": index_words,
}

# Bytes of a Binary too large for its row, in parts that are read one after the other.
binary_part = Table(
    "binary_part",
    metadata,
    Column("key", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)
# Bytes that no Binary names: being uploaded since, or (0) forgotten. What stays here is swept.
loose_bytes = Table(
    "loose_bytes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
)

# The audit journal: first written down, then sealed into the chain, then made a resource that can be searched.
# `content` is the AuditEvent as canonical JSON until the resource has it.
UNSEALED, SEALED, LISTED = 0, 1, 2
audit = Table(
    "audit",
    metadata,
    Column("position", ROW_ID, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("content", LargeBinary),
    Column("digest", LargeBinary),
    Column("seal", BigInteger),
)
Index(
    "audit_waiting",
    audit.c.state,
    audit.c.position,
    sqlite_where=audit.c.state < LISTED,
    postgresql_where=audit.c.state < LISTED,
)

# One row for each batch that was sealed: `head` is the digest of its last row, `signature` a JWT about it.
audit_seal = Table(
    "audit_seal",
    metadata,
    Column("seal", ROW_ID, primary_key=True, autoincrement=False),
    Column("sealed_at", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("signature", Text),
)

# Bulk exports: what was asked for by whom, and how far it has come. `item` and `after`: where it goes on.
bulk_export = Table(
    "bulk_export",
    metadata,
    Column("key", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("item", Integer, nullable=False),
    Column("after", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("problem", Text),
    Column("created", BigInteger, nullable=False),
    Column("finished", BigInteger),
    Column("lease", Text),
    Column("leased_until", BigInteger, nullable=False),
)
bulk_export_file = Table(
    "bulk_export_file",
    metadata,
    Column("key", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("kept_key", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("place", Text, nullable=False),
)
