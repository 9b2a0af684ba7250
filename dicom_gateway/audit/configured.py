"""What somebody did by a command: changed peers and rules, imported a medium.  DICOM PS3.15 A.5.3.10, A.5.3.9

Changes over HTTP are told with the administrator's own token (`web/administration.py`); these wait in the outbox.
"""

from collections.abc import Collection, Mapping, Sequence

from dicom_gateway.audit.happened import ALERT, ATTRIBUTES_CHANGED, IMPORT, Agent, Happened, ourselves, put_down
from dicom_gateway.gateway import Gateway

PATIENCE_SECONDS = 3600.0
"""How long an import waits for its studies to be published, so that it names their patients."""


def changed(gateway: Gateway, who: str, thing: str, what: str, details: Sequence[tuple[str, str]]) -> None:
    """Put down that somebody (`who`: the command line and the user of the machine) changed a thing, and how."""
    happened = Happened(
        ALERT,
        "E",
        (Agent(who, asked=True),),
        subtype=ATTRIBUTES_CHANGED,
        problem=f"{thing} {what}",
        thing=thing,
        details=tuple(details),
    )
    put_down(gateway, happened)


def imported_by_command(gateway: Gateway, who: str, studies: Mapping[str, Collection[str]]) -> None:
    """Put down that somebody imported these instances, by study."""
    if not studies:
        return
    agents = (Agent(who, part="source", asked=True), ourselves(gateway.settings, "destination"))
    counts = {uid: len(instances) for uid, instances in studies.items()}
    put_down(gateway, Happened(IMPORT, "C", agents, counts, patience_seconds=PATIENCE_SECONDS))
