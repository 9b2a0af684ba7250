"""The sensitive labels of a resource are a column: written with it, made anew by the migration that brought it."""

import pytest
from sqlalchemy import Engine, text

from fhir_server.access.labels import ACT_CODE, BITS, CONFIDENTIALITY
from konsil.database import sync_engine
from konsil.migrate import upgrade
from tests.fhir_server.node import ADMINISTRATOR, running

pytestmark = pytest.mark.anyio

RESTRICTED = {"system": CONFIDENTIALITY, "code": "R"}
HIV = {"system": ACT_CODE, "code": "HIV"}
ANN = {"reference": "Patient/ann"}
RESOURCES = (
    {"resourceType": "Patient", "id": "ann"},
    {"resourceType": "Basic", "id": "plain", "code": {"text": "x"}, "subject": ANN},
    {"resourceType": "Basic", "id": "both", "meta": {"security": [RESTRICTED, HIV]}, "code": {"text": "x"}},
    {"resourceType": "Basic", "id": "coded", "code": {"coding": [HIV]}, "subject": ANN},
    {"resourceType": "Basic", "id": "elsewhere", "code": {"coding": [{**HIV, "system": "urn:x"}]}, "subject": ANN},
    {
        "resourceType": "Consent",
        "id": "speaks",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}],
        "policyRule": {"text": "x"},
        "patient": ANN,
        "provision": {"type": "deny", "securityLabel": [HIV]},
    },
)
A_HIV = BITS[ACT_CODE, "hiv"]
LABELS = {"both": A_HIV | BITS[CONFIDENTIALITY, "r"], "coded": A_HIV}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def labels(engine: Engine) -> dict[str, int]:
    """The labelled ones, by id."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT resource_id, labels FROM resource")).all()
    assert {row[0] for row in rows} >= {"plain", "elsewhere", "speaks"}
    return {row[0]: row[1] for row in rows if row[1]}


async def test_labels_are_written_and_made_anew(database_url: str) -> None:
    async with running(database_url) as server, server.client(ADMINISTRATOR) as client:
        for resource in RESOURCES:
            answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
            assert answer.status_code == 201, answer.text
    engine = sync_engine(database_url)
    assert labels(engine) == LABELS
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE resource DROP COLUMN labels"))
        connection.execute(text("UPDATE alembic_version_fhir SET version_num = '0018_signing'"))
    upgrade(database_url, "fhir_server", "alembic_version_fhir")
    assert labels(engine) == LABELS
    engine.dispose()
