"""`konsil dicom rule`: list, show, add, change, deactivate, activate, try."""

import json
from typing import Any

import click

from dicom_gateway.gateway import Gateway
from dicom_gateway.peer_commands import command_line, run, values_option
from dicom_gateway.publish.exchange import exchange_of
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.routing import plan, register
from konsil.assignments import NotAssigned, assigned, table

COLUMNS = ("name", "position", "when", "match", "to", "to_reader", "active")
LISTS = ("sources", "hours", "to")


@click.group()
def rule() -> None:
    """The routing rules: which released studies go where by themselves (docs/dimse.md)."""


@rule.command("list")
def list_rules() -> None:
    """List every rule in its order."""
    click.echo(table([{**each["values"], "active": each["active"]} for each in run(_every)], COLUMNS))


def _every(gateway: Gateway) -> list[dict[str, Any]]:
    with gateway.engine.connect() as connection:
        return register.every(connection)


@rule.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one rule, and what was changed of it, as JSON."""
    click.echo(json.dumps(run(lambda gateway: _show(gateway, name)), indent=1))


@rule.command()
@click.argument("name")
@values_option
def add(name: str, texts: tuple[str, ...]) -> None:
    """Add a rule."""
    values = _values(texts) | {"name": name}
    run(lambda gateway: register.add(gateway.engine, command_line(gateway, "rule"), values))
    click.echo(f"rule {name} added")


@rule.command()
@click.argument("name")
@values_option
def change(name: str, texts: tuple[str, ...]) -> None:
    """Change members of a rule; the others stay."""
    values = _values(texts)
    run(lambda gateway: register.change(gateway.engine, command_line(gateway, "rule"), _show(gateway, name), values))
    click.echo(f"rule {name} changed")


@rule.command()
@click.argument("name")
def deactivate(name: str) -> None:
    """Deactivate a rule: nothing is planned by it any more."""
    _switch(name, active=False)
    click.echo(f"rule {name} deactivated")


@rule.command()
@click.argument("name")
def activate(name: str) -> None:
    """Let a rule hold again."""
    _switch(name, active=True)
    click.echo(f"rule {name} activated")


@rule.command("try")
@click.argument("study_instance_uid")
def try_out(study_instance_uid: str) -> None:
    """Say which rules a study would meet now, for each case that names it, as JSON; nothing is sent."""
    click.echo(json.dumps(run(lambda gateway: _try(gateway, study_instance_uid)), indent=1))


def _try(gateway: Gateway, uid: str) -> dict[str, Any]:
    cases: list[Resource] = []
    if gateway.settings.fhir_base_url is not None:
        exchange = exchange_of(gateway)
        try:
            cases = plan.cases_of(exchange, uid)
        finally:
            exchange.close()
    with gateway.engine.connect() as connection:
        return plan.dry_run(connection, uid, cases, plan.now(gateway.settings))


def _switch(name: str, *, active: bool) -> None:
    run(
        lambda gateway: register.activate(
            gateway.engine, command_line(gateway, "rule"), _show(gateway, name), active=active
        )
    )


def _show(gateway: Gateway, name: str) -> dict[str, Any]:
    with gateway.engine.connect() as connection:
        return register.show(connection, name)


def _values(texts: tuple[str, ...]) -> dict[str, Any]:
    try:
        values = assigned(texts)
    except NotAssigned as error:
        raise click.ClickException(str(error)) from None
    return {
        name: value.split() if name in LISTS and isinstance(value, str) else value for name, value in values.items()
    }
