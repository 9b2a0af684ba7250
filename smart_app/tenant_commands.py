"""`konsil app tenant`: list, show, add, change, deactivate, activate."""

import getpass
import json
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy import Engine

from konsil.assignments import NotAssigned, assigned, table
from konsil.telemetry import logger
from smart_app.settings import Settings

COLUMNS = ("name", "title", "fhir_base", "client_id", "organization", "active")
values_option = click.option("--set", "texts", multiple=True, metavar="NAME=VALUE", help="repeatable; JSON or text")


@click.group()
def tenant() -> None:
    """The hospitals that may launch the app (docs/provisioning.md)."""


@tenant.command("list")
def list_tenants() -> None:
    """List every hospital."""
    found = _run(_every)
    click.echo(table([{**each["values"], "active": each["active"]} for each in found], COLUMNS))


@tenant.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one hospital, and what was changed of it, as JSON; of its keys their names."""
    click.echo(json.dumps(_run(lambda engine: _show(engine, name)), indent=1))


@tenant.command()
@click.argument("name")
@values_option
def add(name: str, texts: tuple[str, ...]) -> None:
    """Add a hospital."""
    from smart_app.store import register

    values = _values(texts) | {"name": name}
    _run(lambda engine: register.add(engine, _by(engine), values))
    click.echo(f"hospital {name} added")


@tenant.command()
@click.argument("name")
@values_option
def change(name: str, texts: tuple[str, ...]) -> None:
    """Change members of a hospital; the others stay, keys too."""
    from smart_app.store import register

    values = _values(texts)
    _run(lambda engine: register.change(engine, _by(engine), _show(engine, name), values))
    click.echo(f"hospital {name} changed")


@tenant.command()
@click.argument("name")
def deactivate(name: str) -> None:
    """Let nobody launch from a hospital any more; nothing is deleted."""
    _switch(name, active=False)


@tenant.command()
@click.argument("name")
def activate(name: str) -> None:
    """Let people launch from a hospital again."""
    _switch(name, active=True)


def _switch(name: str, *, active: bool) -> None:
    from smart_app.store import register

    _run(lambda engine: register.activate(engine, _by(engine), _show(engine, name), active=active))
    click.echo(f"hospital {name} {'activated' if active else 'deactivated'}")


def _every(engine: Engine) -> list[dict[str, Any]]:
    from smart_app.store import register

    with engine.connect() as connection:
        return register.every(connection)


def _show(engine: Engine, name: str) -> dict[str, Any]:
    from smart_app.store import register

    with engine.connect() as connection:
        return register.show(connection, name)


def _by(engine: Engine) -> Any:
    """Whoever runs the command: the audit names the user of the machine, and so does its log."""
    from konsil.changes import Details, change_event
    from smart_app.store import told
    from smart_app.store.register import By

    name = f"command line ({getpass.getuser()})"
    source = {"identifier": {"value": name}}, Settings().base_url

    def audit(tenant: str, what: str, details: Details) -> None:
        told.put_down(engine, change_event(source, f"hospital {tenant}", what, details))
        logger("app").warning("hospital %s %s by the %s", tenant, what, name)

    return By(name, audit)


def _values(texts: tuple[str, ...]) -> dict[str, Any]:
    try:
        values = assigned(texts)
    except NotAssigned as error:
        raise click.ClickException(str(error)) from None
    if isinstance(values.get("frame_origins"), str):
        values["frame_origins"] = values["frame_origins"].split()
    return values


def _run(work: Callable[[Engine], Any]) -> Any:
    from konsil.database import sync_engine
    from konsil.migrate import upgrade
    from smart_app.app import VERSION_TABLE
    from smart_app.store.register import Stale, Unknown, Unsuitable

    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database, "smart_app", VERSION_TABLE)
    engine = sync_engine(settings.database)
    try:
        return work(engine)
    except (Stale, Unknown, Unsuitable) as error:
        raise click.ClickException(str(error)) from None
    finally:
        engine.dispose()
