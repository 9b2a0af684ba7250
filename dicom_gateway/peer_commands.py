"""`konsil dicom peer`: list, show, add, change, deactivate, activate."""

import getpass
import json
from collections.abc import Callable
from typing import Any

import click

from dicom_gateway import peer_register
from dicom_gateway.audit.configured import changed
from dicom_gateway.errors import GatewayError
from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.peer_register import By
from dicom_gateway.peers import LISTS
from dicom_gateway.settings import Settings
from konsil.assignments import NotAssigned, assigned, table
from konsil.changes import Details
from konsil.telemetry import logger

COLUMNS = ("name", "title", "ae_title", "host", "port", "can", "active", "answers")
values_option = click.option(
    "--set", "texts", multiple=True, metavar="NAME=VALUE", help="may be repeated; JSON or text"
)


@click.group()
def peer() -> None:
    """The DICOM peers: outside archives, systems that send to us, destinations (docs/dimse.md)."""


@peer.command("list")
def list_peers() -> None:
    """List every peer, and whether it answered when last asked."""
    found = run(_every)
    rows = [{**each["values"], "active": each["active"], "answers": each["about"]["reachable"]} for each in found]
    click.echo(table(rows, COLUMNS))


def _every(gateway: Gateway) -> list[dict[str, Any]]:
    with gateway.engine.connect() as connection:
        return peer_register.every(connection)


@peer.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one peer, and what was changed of it, as JSON."""
    click.echo(json.dumps(run(lambda gateway: _show(gateway, name)), indent=1))


@peer.command()
@click.argument("name")
@values_option
def add(name: str, texts: tuple[str, ...]) -> None:
    """Add a peer."""
    values = _values(texts) | {"name": name}
    run(
        lambda gateway: peer_register.add(
            gateway.engine, command_line(gateway, "peer"), values, gateway.settings.ae_title
        )
    )
    click.echo(f"peer {name} added")


@peer.command()
@click.argument("name")
@values_option
def change(name: str, texts: tuple[str, ...]) -> None:
    """Change members of a peer; the others stay."""
    values = _values(texts)

    def work(gateway: Gateway) -> dict[str, Any]:
        before = _show(gateway, name)
        return peer_register.change(
            gateway.engine, command_line(gateway, "peer"), before, values, gateway.settings.ae_title
        )

    run(work)
    click.echo(f"peer {name} changed")


@peer.command()
@click.argument("name")
def deactivate(name: str) -> None:
    """Deactivate a peer: it may not call, and is not called; nothing is deleted."""
    run(
        lambda gateway: peer_register.activate(
            gateway.engine, command_line(gateway, "peer"), _show(gateway, name), active=False
        )
    )
    click.echo(f"peer {name} deactivated")


@peer.command()
@click.argument("name")
def activate(name: str) -> None:
    """Let a peer call and be called again."""
    run(
        lambda gateway: peer_register.activate(
            gateway.engine, command_line(gateway, "peer"), _show(gateway, name), active=True
        )
    )
    click.echo(f"peer {name} activated")


def _show(gateway: Gateway, name: str) -> dict[str, Any]:
    with gateway.engine.connect() as connection:
        return peer_register.show(connection, name)


def command_line(gateway: Gateway, kind: str) -> By:
    """Whoever runs the command: the audit names the user of the machine, and so does its log."""
    name = f"command line ({getpass.getuser()})"

    def audit(thing: str, what: str, details: Details) -> None:
        changed(gateway, name, f"{kind} {thing}", what, details)
        logger("dicom_gateway").warning("%s %s %s by the %s", kind, thing, what, name)

    return By(name, audit)


def _values(texts: tuple[str, ...]) -> dict[str, Any]:
    try:
        values = assigned(texts)
    except NotAssigned as error:
        raise click.ClickException(str(error)) from None
    return {
        name: value.split() if name in LISTS and isinstance(value, str) else value for name, value in values.items()
    }


def run(work: Callable[[Gateway], Any]) -> Any:
    """Do something with the gateway; what it refuses is told.  Raises click.ClickException."""
    gateway = open_gateway(Settings())
    try:
        return work(gateway)
    except GatewayError as error:
        raise click.ClickException(str(error)) from None
    finally:
        gateway.ingest.close()
        gateway.engine.dispose()
