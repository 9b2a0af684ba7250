"""What the doors may hand out: released instances in their current version, found by UID.

Every door reads through here, and the SQL says `state = 'released'`; quarantined objects are found by `quarantined`,
for the reconciliation page alone.
"""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Engine

from dicom_gateway.index.query import RELEASED, Located, Place, locate
from konsil.database import reader

QUARANTINED = ("quarantined",)


def released(engine: Engine, place: Place) -> list[Located]:
    """Released instances at this place, in the order of series and instance numbers."""
    with reader(engine).begin() as connection:
        return locate(connection, place, RELEASED)


def quarantined(engine: Engine, study_instance_uid: str) -> list[Located]:
    """Instances of a study that wait for HIM staff: for those who can read the reconciliation Task, for nobody else."""
    with reader(engine).begin() as connection:
        return locate(connection, Place(study_instance_uid), QUARANTINED)


def path_of(item: Located) -> str:
    """The instance's path under the DICOMweb root."""
    return f"/studies/{item.study_instance_uid}/series/{item.series_instance_uid}/instances/{item.sop_instance_uid}"


def entity_tag(instances: Sequence[Located], form: str = "") -> str:
    """A strong ETag that changes when any version does, another for each form in which they are served."""
    digest = sha256("".join([*(item.object_key for item in instances), form]).encode()).hexdigest()
    return f'"{digest[:32]}"'
