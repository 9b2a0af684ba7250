"""What a registered peer sent and nobody can read: kept in the archive as it came, counted, shown to no one.

The rest of its study is taken all the same.  Equal bytes are kept and counted once, however often a peer repeats them.
"""

import time

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway.archive import StoredObject
from dicom_gateway.errors import IngestError
from dicom_gateway.index.models import retrieval, set_aside, unindexed

FETCHING = ("fetching", "verifying")


def keep(engine: Engine, stored: StoredObject, peer: str, task_id: str | None, error: IngestError) -> None:
    """Note an object that cannot be taken in, with the retrieval that it came for.  Raises SQLAlchemyError."""
    with engine.begin() as connection:
        row = {
            "object_key": stored.key,
            "peer": peer,
            "retrieval": task_id or _running(connection, peer),
            "reason": type(error).__name__,
            "created_at": time.time(),
        }
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(set_aside)
        connection.execute(insert.values(row).on_conflict_do_nothing())


def _running(connection: Connection, peer: str) -> str | None:
    """The one retrieval that this peer may be answering on an association of its own; None when there are several."""
    query = select(retrieval.c.task_id).where(retrieval.c.peer == peer, retrieval.c.state.in_(FETCHING))
    found = connection.execute(query.limit(2)).scalars().all()
    return found[0] if len(found) == 1 else None


def of_retrieval(connection: Connection, task_id: str) -> int:
    """How many objects of one retrieval could not be read."""
    query = select(func.count()).select_from(set_aside).where(set_aside.c.retrieval == task_id)
    return connection.execute(query).scalar_one()


def total(connection: Connection) -> int:
    """How many objects lie aside: those that could not be read, and those that could not be indexed."""
    tables = (set_aside, unindexed)
    return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
