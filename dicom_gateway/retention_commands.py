"""`konsil dicom hold` and `konsil dicom retain`: legal holds, and deleting what the retention rules let go."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import httpx

from dicom_gateway.errors import GatewayError
from dicom_gateway.gateway import Gateway
from dicom_gateway.keeping import holds, retention
from dicom_gateway.keeping.holds import Act
from dicom_gateway.keeping_commands import opened
from dicom_gateway.publish.exchange import Exchange, exchange_of
from dicom_gateway.publish.fhir import FhirError
from konsil.database import reader

COMMAND = "konsil dicom"


@click.group()
def hold() -> None:
    """Legal holds: studies that are not deleted, whatever the rules say."""


@hold.command(name="place")
@click.argument("study")
@click.option("--reason", required=True, help="Why, in a sentence; no names of patients.")
def place(study: str, reason: str) -> None:
    """Hold the study with the Study Instance UID STUDY."""
    with _refusing(), opened() as gateway:
        holds.place(gateway, Act(study, COMMAND, reason))
    click.echo(f"{study} is held")


@hold.command(name="lift")
@click.argument("study")
@click.option("--reason", required=True, help="Why, in a sentence; no names of patients.")
def lift(study: str, reason: str) -> None:
    """End the hold on the study STUDY."""
    with _refusing(), opened() as gateway:
        holds.lift(gateway, Act(study, COMMAND, reason))
    click.echo(f"{study} is not held any more")


@hold.command(name="list")
def list_all() -> None:
    """Every hold, newest first."""
    with opened() as gateway, reader(gateway.engine).connect() as connection:
        for row in holds.every(connection):
            day = datetime.fromtimestamp(row["placed_at"], UTC)
            click.echo(f"{row['study_instance_uid']}  {day:%Y-%m-%d}  {row['placed_by']}  {row['reason']}")


@click.command()
@click.option("--delete", "really", is_flag=True, help="Delete them; without it they are only listed.")
def retain(really: bool) -> None:
    """List the studies that the retention rules let go; with --delete, delete them with a trace."""
    with _refusing(), opened() as gateway, exchange_for(gateway) as exchange:
        number = 0
        for uid in retention.due(exchange, gateway):
            if really:
                retention.remove(exchange, gateway, Act(uid, COMMAND, "its time is over by the retention rules"))
            click.echo(uid)
            number += 1
    click.echo(f"{number} {'deleted' if really else 'may be deleted'}")


@contextmanager
def exchange_for(gateway: Gateway) -> Iterator[Exchange | None]:
    """The FHIR server of a gateway, which knows whether cases are open; an archive has none."""
    if gateway.settings.mode == "archive":
        yield None
        return
    exchange = exchange_of(gateway)
    try:
        yield exchange
    finally:
        exchange.close()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except GatewayError as error:
        raise click.ClickException(str(error)) from error
    except (FhirError, httpx.HTTPError) as error:
        raise click.ClickException("The FHIR server does not answer: nobody knows which cases are open.") from error
