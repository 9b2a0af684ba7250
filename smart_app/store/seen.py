"""Up to which message each person has seen each case: what is newer and by somebody else is unread."""

from sqlalchemy import Engine, delete, insert, select

from konsil.database import reader
from smart_app.store.models import case_seen


class SeenStore:
    """Reads and writes of the marks; moments are the record server's, so that no clock needs to agree with another."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def of_person(self, person: str) -> dict[str, str]:
        """The marks of a person, by case."""
        wanted = select(case_seen.c.case_id, case_seen.c.moment).where(case_seen.c.person == person)
        with self.reads.connect() as connection:
            return {row.case_id: row.moment for row in connection.execute(wanted)}

    def mark(self, person: str, case_id: str, moment: str) -> None:
        """Everything on the case up to this moment was shown to the person."""
        mine = (case_seen.c.person == person, case_seen.c.case_id == case_id)
        with self.engine.begin() as connection:
            connection.execute(delete(case_seen).where(*mine))
            connection.execute(insert(case_seen).values(person=person, case_id=case_id, moment=moment))
