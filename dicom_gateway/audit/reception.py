"""Telling what came in, once for each association and study, when nothing more comes."""

import time

from sqlalchemy import select, update
from sqlalchemy.engine import RowMapping

from dicom_gateway.audit.happened import TRANSFERRED, Agent, Happened, note, ourselves
from dicom_gateway.audit.received import KIND, QUIET_SECONDS
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import reception
from konsil.outbox import Again, Job

PATIENCE_SECONDS = 3600.0
"""A study is published when its retrieval has ended."""


def tell(gateway: Gateway, job: Job) -> Again | None:
    """Make the event of what came, in the transaction that notes that it was made."""
    same = reception.c.association == job.payload["association"]
    same &= reception.c.study_instance_uid == job.payload["study_instance_uid"]
    with gateway.engine.begin() as connection:
        found = connection.execute(select(reception).where(same).with_for_update()).mappings().one()
        if time.time() < found["last_at"] + QUIET_SECONDS:
            return Again(QUIET_SECONDS)
        studies = {found["study_instance_uid"]: found["instances"] - found["told"]}
        agents = (sender(found), ourselves(gateway.settings, "destination"))
        happened = Happened(TRANSFERRED, "C", agents, studies, patience_seconds=PATIENCE_SECONDS)
        note(connection, happened, f"{KIND}:{job.id}")
        connection.execute(update(reception).where(same).values(told=found["instances"]))
    return None


def sender(row: RowMapping) -> Agent:
    """Who sent it."""
    calling = str(row["calling_ae_title"])
    name, program = calling or str(row["peer"]) or "import", ("system",)
    return Agent(name, "", calling, str(row["address"]), str(row["peer"]), program, part="source", asked=True)
