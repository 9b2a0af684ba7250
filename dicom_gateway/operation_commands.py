"""`konsil dicom queue`, `dead`, `retry`: what the app's page of imaging sources shows, at a terminal."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar

import click
from sqlalchemy import Connection

from dicom_gateway import operations
from dicom_gateway.gateway import Gateway
from dicom_gateway.peer_commands import run
from konsil.assignments import table

T = TypeVar("T")


def _read(gateway: Gateway, question: Callable[[Connection], T]) -> T:
    with gateway.engine.connect() as connection:
        return question(connection)


@click.command()
def queue() -> None:
    """List what waits, by kind of work."""
    rows = run(lambda gateway: [asdict(each) for each in _read(gateway, operations.queues)])
    rows = [{**row, "oldest": _moment(row["oldest"])} for row in rows]
    click.echo(table(rows, ("kind", "waiting", "again", "failed", "oldest")))


@click.command()
def dead() -> None:
    """List what was given up, newest first; `retry` tries one again."""
    rows = run(lambda gateway: [asdict(each) for each in _read(gateway, operations.dead)])
    rows = [{**row, "since": _moment(row["created_at"])} for row in rows]
    click.echo(table(rows, ("id", "kind", "about", "since", "attempts", "cause")))


@click.command()
@click.argument("number", type=int)
def retry(number: int) -> None:
    """Try again what was given up under NUMBER, as `dead` lists it."""
    if not run(lambda gateway: operations.retry(gateway.engine, number)):
        raise click.ClickException(f"nothing was given up under {number}: `konsil dicom dead` lists what was")
    click.echo(f"{number} is tried again")


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
