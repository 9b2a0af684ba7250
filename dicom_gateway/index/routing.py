"""Tables of routing rules; in the index's database and metadata.  Times are float epoch seconds."""

from sqlalchemy import Boolean, Column, Float, Integer, Table, Text, false

from dicom_gateway.index.models import metadata

# entry: the rule as JSON.  Of two rules for one destination the one of the lower position counts.
routing_rule = Table(
    "routing_rule",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("entry", Text, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("from_file", Boolean, nullable=False, server_default=false()),
)

# What was changed of a rule, by whom; `details` is JSON: pairs of member and words.
routing_rule_change = Table(
    "routing_rule_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", Text, nullable=False, index=True),
    Column("changed_at", Float, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("details", Text, nullable=False),
)
