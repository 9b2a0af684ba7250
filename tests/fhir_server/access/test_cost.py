"""What a search costs a consultant goes with the own cases, not with what others keep here."""

import sqlite3
import time
from pathlib import Path

import pytest

from fhir_server.context import Context, Node
from tests.bench import access
from tests.bench.fhir import CODES, LOINC
from tests.fhir_server.access.conftest import ITO, WEBER
from tests.fhir_server.node import Server, running

pytestmark = pytest.mark.anyio
OTHERS = 5000


async def steps(server: Server, path: Path) -> int:
    """Steps of SQLite's machine for a page of the consultant's: all Observations with a code."""
    node: Node = server.app.state.node
    terms = await node.consents.terms(node.database, ITO, time.time_ns() // 1000)
    store = Context.of(node, ITO, 0, terms=terms).store
    query = node.parser.parse("Observation", [("code", f"{LOINC}|{CODES[0]}")])
    sql, values = node.database.compiler.render(store.page_of(query))
    counted = [0]

    def count() -> None:
        counted[0] += 1

    connection = sqlite3.connect(path)
    connection.set_progress_handler(count, 1)
    rows = connection.execute(sql, values).fetchall()
    connection.close()
    assert len(rows) == 10
    return counted[0]


async def test_others_records_with_the_same_code_cost_a_consultant_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fhir.db"
    async with running(f"sqlite:///{path}") as server, server.client(WEBER) as weber:
        for address, body in access.case(0):
            answer = await (weber.post("", json=body) if address == "/" else weber.put(address, json=body))
            assert answer.status_code < 300, answer.text
        before = await steps(server, path)
        with sqlite3.connect(path) as connection:
            table = connection.execute("SELECT * FROM index_token WHERE code = ? LIMIT 1", [CODES[0]])
            names = [column[0] for column in table.description]
            one = dict(zip(names, table.fetchone(), strict=True))
            others = ({**one, "row_id": n}.values() for n in range(1, OTHERS + 1))
            connection.executemany(
                f"INSERT INTO index_token VALUES ({', '.join('?' * len(names))})", map(tuple, others)
            )
        assert await steps(server, path) < before + 100
