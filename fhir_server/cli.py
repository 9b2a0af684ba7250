"""`konsil fhir`: serve and migrate."""

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
