"""`konsil app`: serve the screens, run the worker, provision keys and tenants."""

from pathlib import Path

import click

from konsil.celery_app import run_worker
from konsil.telemetry import configure_logging
from smart_app.settings import Settings
from smart_app.tenant_commands import tenant


@click.group()
def app() -> None:
    """The screens: requests, cases, reports."""


app.add_command(tenant)


@app.command()
def serve() -> None:
    """Serve the screens over HTTP; what every first page would wait for is made ready beside it."""
    from threading import Thread

    import uvicorn

    from konsil.serving import PatientProtocol, tls_options
    from smart_app.app import create_app, make_ready

    configure_logging("app")
    settings = Settings()
    options = {"http": PatientProtocol, "log_config": None, "access_log": False, "timeout_graceful_shutdown": 2}
    options |= tls_options(settings.tls_certificate, settings.tls_key)
    served = create_app(settings)
    Thread(target=make_ready, args=(served,), daemon=True).start()
    uvicorn.run(served, host=settings.host, port=settings.port, **options)  # type: ignore[arg-type]


@app.command()
def worker() -> None:
    """Run the worker: finds signed reports, writes them back."""
    from smart_app.jobs import create_worker

    configure_logging("app-worker")
    run_worker(create_worker(Settings()))


@app.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--deactivate-others", is_flag=True, help="Deactivate the tenants that FILE lacks; nothing is deleted.")
def provision(file: Path, deactivate_others: bool) -> None:
    """Take keys and tenants from FILE (JSON); may be run again at any time."""
    from konsil.database import sync_engine
    from konsil.migrate import upgrade
    from smart_app.app import VERSION_TABLE
    from smart_app.store.provisioned import ProvisionedStore
    from smart_app.tenants import Provision

    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database, "smart_app", VERSION_TABLE)
    content = Provision.model_validate_json(file.read_bytes())
    store = ProvisionedStore(sync_engine(settings.database))
    for name in store.provision(content, deactivate_others=deactivate_others):
        click.echo(f"deactivated: {name}")
    click.echo(f"{len(content.tenants)} hospitals and the app's keys are in place.")
