"""Legal holds: a study under one is not deleted, by no rule and by no person, until the hold is lifted."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.engine import RowMapping

from dicom_gateway.audit.happened import ACCESSED, Agent, Happened, note, ourselves
from dicom_gateway.audit.received import is_told
from dicom_gateway.errors import GatewayError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.keeping import keeping_trace, legal_hold
from konsil.database import lock_transaction


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something to a study, and why: `by` is a person's reference or the name of a command or rule."""

    study_instance_uid: str
    by: str
    reason: str


def place(gateway: Gateway, act: Act) -> None:
    """Hold a study, whether it is here yet or not.  Raises GatewayError without a reason."""
    if not act.reason.strip():
        raise GatewayError("A hold needs a reason.")
    with gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        if held(connection, act.study_instance_uid) is None:
            now = time.time()
            row = {"study_instance_uid": act.study_instance_uid, "reason": act.reason}
            connection.execute(insert(legal_hold).values(**row, placed_by=act.by, placed_at=now))
            trace(connection, gateway, act, "hold")


def lift(gateway: Gateway, act: Act) -> None:
    """End a hold.  Raises GatewayError without a reason, or when there is none."""
    if not act.reason.strip():
        raise GatewayError("Lifting a hold needs a reason.")
    with gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        mine = legal_hold.c.study_instance_uid == act.study_instance_uid
        if not connection.execute(delete(legal_hold).where(mine)).rowcount:
            raise GatewayError("No hold stands on this study.")
        trace(connection, gateway, act, "lift")


def held(connection: Connection, study_instance_uid: str) -> RowMapping | None:
    """The hold on a study, if one stands."""
    query = select(legal_hold).where(legal_hold.c.study_instance_uid == study_instance_uid)
    return connection.execute(query).mappings().one_or_none()


def every(connection: Connection) -> list[RowMapping]:
    """All holds, newest first."""
    return list(connection.execute(select(legal_hold).order_by(legal_hold.c.placed_at.desc())).mappings())


def trace(connection: Connection, gateway: Gateway, act: Act, what: str, objects: str = "[]") -> None:
    """Put down what was done, here for good and for the audit, in the transaction that does it.  DICOM 110103"""
    row = {"study_instance_uid": act.study_instance_uid, "what": what, "reason": act.reason, "done_by": act.by}
    connection.execute(insert(keeping_trace).values(**row, done_at=time.time(), objects=objects))
    if is_told(gateway.settings):
        person = act.by if act.by.startswith("Practitioner/") else ""
        agents = (Agent(act.by, reference=person, asked=True), ourselves(gateway.settings, ""))
        action = "D" if what == "delete" else "U"
        problem = f"{what}: {act.reason}"[:200]
        note(connection, Happened(ACCESSED, action, agents, {act.study_instance_uid: None}, problem=problem))
