"""`konsil fhir`: serve and migrate."""

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
