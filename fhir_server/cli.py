"""`konsil fhir`: serve, migrate, provision, load packages."""

from pathlib import Path
from typing import BinaryIO

import click


@click.group()
def fhir() -> None:
    """The FHIR server and its authorization server."""


@fhir.command()
def serve() -> None:
    """Serve HTTP (settings KONSIL_FHIR_...)."""
    import uvicorn

    from fhir_server.app import PROGRAM, create_app
    from fhir_server.settings import Settings
    from konsil.telemetry import configure_logging

    settings = Settings()
    configure_logging(PROGRAM)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


@fhir.command()
def migrate() -> None:
    """Bring the database schema up to date."""
    from fhir_server.app import migrate as run
    from fhir_server.settings import Settings

    run(Settings())


@fhir.command()
@click.argument("file", type=click.File("rb"))
def provision(file: BinaryIO) -> None:
    """Insert or update the clients, tenants, accounts and resources of a JSON FILE (docs/provisioning.md)."""
    import asyncio

    from fhir_server import wire
    from fhir_server.app import open_node
    from fhir_server.auth.provision import Document
    from fhir_server.auth.provision import provision as run
    from fhir_server.settings import Settings

    async def write() -> dict[str, int]:
        async with open_node(Settings()) as node:
            return await run(node, Document.model_validate(wire.loads(file.read())))

    counts = asyncio.run(write())
    click.echo(f"provisioned: {', '.join(f'{count} {name}' for name, count in counts.items())}")


@fhir.command("load-package")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load_package(files: tuple[Path, ...]) -> None:
    """Load FHIR NPM packages (.tgz): profiles, value sets, code systems and search parameters become resources."""
    import asyncio
    import time

    from fhir_server.app import open_node
    from fhir_server.auth.records import registrar
    from fhir_server.conformance.package import BadPackage, open_package
    from fhir_server.context import Context
    from fhir_server.interactions.packages import Loaded
    from fhir_server.interactions.packages import load_package as load
    from fhir_server.settings import Settings

    async def run() -> None:
        async with open_node(Settings()) as node:
            for path in files:
                package = open_package(path)
                ctx = Context.of(node, registrar(None), time.time_ns() // 1000)
                with click.progressbar(length=len(package), label=package.name) as bar:
                    loaded = await load(ctx, package, bar.update)
                    bar.update(len(package))
                report(f"{package.name} {package.version}", loaded)

    def report(name: str, loaded: Loaded) -> None:
        click.echo(f"{name}: {loaded.created} new, {loaded.updated} changed, {loaded.unchanged} as they were")
        for refused in loaded.refused:
            click.echo(f"  left out: {refused}", err=True)
        if loaded.missing:
            click.echo(f"  builds on packages that are not loaded: {', '.join(loaded.missing)}", err=True)

    try:
        asyncio.run(run())
    except BadPackage as error:
        raise click.ClickException(error.diagnostics) from None
