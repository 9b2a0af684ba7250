"""Logs that hold nobody's name, and counters."""

import json
import logging
from collections.abc import Iterator

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from konsil.telemetry import RequestMetrics, configure_logging, logger, metrics_app


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def entries(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_entry_is_a_json_line_with_its_extras(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("smart_app")
    logger("smart_app.writeback").info("written back", extra={"task": "Task/1"})
    (entry,) = entries(capsys)
    assert entry.pop("time")
    rest = {"logger": "smart_app.writeback", "message": "written back", "task": "Task/1"}
    assert entry == {"level": "info", "program": "smart_app", **rest}


def test_an_exception_is_logged_by_type_and_place_and_never_by_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("smart_app")
    try:
        try:
            int("Jane Doe")
        except ValueError as error:
            raise KeyError("Jane Doe") from error
    except KeyError:
        logger("x").exception("broke")
    (entry,) = entries(capsys)
    assert entry["error"][0] == "KeyError"
    assert "ValueError" in entry["error"]
    assert "Jane" not in json.dumps(entry)


def test_libraries_do_not_log_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("smart_app")
    logging.getLogger("httpx").info("GET http://ehr/Patient?name=Doe")
    assert entries(capsys) == []


async def patient(request: Request) -> PlainTextResponse:
    return PlainTextResponse("found")


def test_requests_are_counted_and_logged_without_their_query(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("fhir_server")
    app = Starlette(routes=[Route("/Patient", patient), Route("/metrics", metrics_app)])
    observed = RequestMetrics(app, program="fhir_server_test")

    async def go() -> str:
        transport = httpx.ASGITransport(app=observed)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            await client.get("/Patient?name=Doe")
            await client.get("/nowhere")
            return (await client.get("/metrics")).text

    text = anyio.run(go)
    assert 'konsil_http_requests_total{method="GET",program="fhir_server_test",status="200"} 1.0' in text
    assert 'konsil_http_requests_total{method="GET",program="fhir_server_test",status="404"} 1.0' in text
    logged = entries(capsys)
    assert [(entry["path"], entry["status"]) for entry in logged[:2]] == [("/Patient", 200), ("/nowhere", 404)]
    assert "Doe" not in json.dumps(logged)
