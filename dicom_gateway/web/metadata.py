"""Metadata of instances, kept by version: read from the stored header once, then served from the index.

A version's bytes never change, so neither does its metadata; a 300-instance study is one SQL statement.
"""

import zlib
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway.archive import Archive
from dicom_gateway.index.exchange import version_metadata
from dicom_gateway.index.query import Located
from dicom_gateway.web import dicom_json
from dicom_gateway.web.frames import read_header
from konsil.database import reader

BATCH = 1000


def of_instances(engine: Engine, archive: Archive, instances: Sequence[Located]) -> Iterator[bytes]:
    """The metadata of each instance, in order, a thousand at a time; what is missing is read and kept."""
    for start in range(0, len(instances), BATCH):
        batch = instances[start : start + BATCH]
        known = load(engine, [item.object_key for item in batch])
        made = {item.object_key: read(archive, item) for item in batch if item.object_key not in known}
        if made:
            with engine.begin() as connection:
                keep(connection, made)
        for item in batch:
            yield made[item.object_key] if item.object_key in made else known[item.object_key]


def load(engine: Engine, object_keys: Sequence[str]) -> dict[str, bytes]:
    """What is kept already."""
    statement = select(version_metadata.c.object_key, version_metadata.c.content).where(
        version_metadata.c.object_key.in_(object_keys)
    )
    with reader(engine).begin() as connection:
        return {key: zlib.decompress(content) for key, content in connection.execute(statement).all()}


def keep(connection: Connection, made: dict[str, bytes]) -> None:
    """Keep metadata; somebody else may have been faster."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    rows = [{"object_key": key, "content": zlib.compress(content, 1)} for key, content in made.items()]
    connection.execute(insert(version_metadata).on_conflict_do_nothing(), rows)


def read(archive: Archive, item: Located) -> bytes:
    """The metadata out of the stored object."""
    with archive.open(item.object_key) as stream:
        ds = read_header(stream)
        has_pixels = len(stream.read(8)) == 8
    return dicom_json.metadata(ds, item.transfer_syntax_uid, has_pixels)
