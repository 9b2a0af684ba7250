"""One sentence after a deed: shown as a toast by the next page of the launch, with a way to take the deed back."""

import time

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, delete, insert, select

from konsil.database import reader
from smart_app.store.models import flash
from smart_app.store.sealed import open_model, seal_model

LIFE_SECONDS = 60


class Flash(BaseModel):
    """What was done, and the path within the launch that a POST of undoes it (empty: it cannot be undone)."""

    model_config = ConfigDict(frozen=True)

    said: str
    undo: str = ""
    tone: str = "good"


class FlashStore:
    """At most one sentence a launch; a later one takes the place of one that nobody saw."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def leave(self, launch_id: str, said: Flash) -> None:
        """Keep a sentence for the launch's next page."""
        row = {"launch_id": launch_id, "content": seal_model(said), "created_at": time.time()}
        with self.engine.begin() as connection:
            connection.execute(delete(flash).where(flash.c.launch_id == launch_id))
            connection.execute(insert(flash).values(**row))

    def waiting(self, launch_id: str) -> Flash | None:
        """The sentence that waits, if it is no older than a minute; it stays until `seen`."""
        recent = flash.c.created_at > time.time() - LIFE_SECONDS
        with self.reads.connect() as connection:
            content = connection.execute(select(flash.c.content).where(flash.c.launch_id == launch_id, recent)).scalar()
        return open_model(Flash, content) if content else None

    def seen(self, launch_id: str) -> None:
        """The sentence was shown."""
        with self.engine.begin() as connection:
            connection.execute(delete(flash).where(flash.c.launch_id == launch_id))
