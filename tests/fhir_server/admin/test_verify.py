"""Every index row is compared with its resource, and made anew where it differs."""

import pytest
from sqlalchemy import text

from fhir_server.app import open_node
from fhir_server.settings import Settings
from fhir_server.store.verify import Verified, Verifier, counts
from konsil.database import sync_engine
from tests.conformance.chart import CHART, put
from tests.fhir_server.node import ADMINISTRATOR, running

pytestmark = pytest.mark.anyio

DAMAGE = (
    "DELETE FROM index_token WHERE row_id = (SELECT row_id FROM resource WHERE resource_type = 'Patient' LIMIT 1)",
    "UPDATE index_date SET moment = moment + 1 WHERE row_id = "
    "(SELECT row_id FROM resource WHERE resource_type = 'Observation' LIMIT 1)",
    "UPDATE resource SET labels = 1 WHERE resource_type = 'RiskAssessment'",
    "INSERT INTO index_uri (row_id, parameter, moment, value) VALUES (1, 1, 1, 'nobody''s')",
)


async def verify(settings: Settings, *, repair: bool = False) -> Verified:
    async with open_node(settings) as node:
        verifier = Verifier(node.database, node.extractor, node.numbers)
        return await verifier.run(lambda done, total: None, repair=repair)


async def test_finds_and_repairs_what_differs(settings: Settings) -> None:
    async with running(settings.database_url) as server, server.client(ADMINISTRATOR) as client:
        await put(client, CHART)
    whole = await verify(settings)
    assert whole.agree > 5
    assert (whole.disagree, whole.orphans) == ([], 0)
    async with open_node(settings) as node:
        assert sum((await counts(node.database)).values()) == whole.agree
    engine = sync_engine(settings.database_url)
    with engine.begin() as connection:
        for statement in DAMAGE:
            connection.execute(text(statement))
    engine.dispose()
    damaged = await verify(settings, repair=True)
    assert sorted(reference.partition("/")[0] for reference in damaged.disagree) == [
        "Observation",
        "Patient",
        "RiskAssessment",
    ]
    assert damaged.orphans == 1
    assert await verify(settings) == whole
