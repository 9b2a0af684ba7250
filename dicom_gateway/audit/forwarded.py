"""Studies that we send on, or that somebody has sent to a workstation.  DICOM PS3.15 A.5.3.5, A.5.3.7"""

from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from dicom_gateway.audit.disclosure import application
from dicom_gateway.audit.happened import BEGINNING, MINOR, SUCCESS, TRANSFERRED, Agent, Happened, ourselves, put_down
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import forwarding_request
from dicom_gateway.peers import Peer
from konsil.database import reader


@dataclass(frozen=True, slots=True)
class Forwarded:
    """One row of `forwarding`, where it goes, and the job that sends it: each is told once."""

    row: RowMapping
    peer: Peer
    job: int


def beginning(gateway: Gateway, what: Forwarded, instances: int) -> None:
    """Before the first instance leaves."""
    happened = Happened(BEGINNING, "E", _agents(gateway, what), {str(what.row["study_instance_uid"]): instances})
    put_down(gateway, happened, f"forward-begin:{what.job}")


def forwarded(gateway: Gateway, what: Forwarded, problem: str = "") -> None:
    """When it ended."""
    outcome = MINOR if problem else SUCCESS
    studies = {str(what.row["study_instance_uid"]): int(what.row["total"])}
    agents = _agents(gateway, what)
    happened = Happened(TRANSFERRED, "R", agents, studies, outcome=outcome, problem=problem)
    put_down(gateway, happened, f"forward-end:{what.job}:{outcome}")


def _agents(gateway: Gateway, what: Forwarded) -> tuple[Agent, ...]:
    """We, the destination, and who asked last for it, if a person did."""
    asked = select(forwarding_request.c.asked_by).where(forwarding_request.c.forwarding_id == what.row["id"])
    with reader(gateway.engine).begin() as connection:
        person = connection.execute(asked.order_by(forwarding_request.c.id.desc()).limit(1)).scalar()
    us, there = ourselves(gateway.settings, "source"), replace(application(what.peer), part="destination")
    if not person:
        return replace(us, asked=True, roles=("system",)), there
    return us, there, Agent(str(person), reference=str(person), asked=True)
