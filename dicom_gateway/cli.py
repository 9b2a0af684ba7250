"""`konsil dicom ...`: the commands of the gateway."""

import getpass
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError

from dicom_gateway.audit.configured import imported_by_command
from dicom_gateway.dimse.echo import probe
from dicom_gateway.errors import NotFound
from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.import_files import MediumRefused, import_medium
from dicom_gateway.jobs import GatewayRunner, create_worker
from dicom_gateway.keeping_commands import status, verify
from dicom_gateway.operation_commands import dead, queue, retry
from dicom_gateway.peer_commands import peer
from dicom_gateway.peer_register import deactivate_others, provision
from dicom_gateway.peers import PeerEntry, by_name
from dicom_gateway.replaying import ReplayProcess
from dicom_gateway.replaying import serve as serve_replay
from dicom_gateway.retention_commands import hold, retain
from dicom_gateway.routing import register as rules
from dicom_gateway.routing.entry import Rule
from dicom_gateway.rule_commands import rule
from dicom_gateway.scp import Listener
from dicom_gateway.settings import Settings
from konsil.celery_app import run_worker
from konsil.database import reader
from konsil.serving import PatientProtocol, tls_options
from konsil.sweep import Sweep
from konsil.telemetry import configure_logging, logger

PROGRAM = "dicom_gateway"


class ProvisionFile(BaseModel):
    """What `provision` reads."""

    model_config = ConfigDict(extra="ignore")

    peers: list[PeerEntry]
    rules: list[Rule] = []


def _open() -> Gateway:
    configure_logging(PROGRAM)
    return open_gateway(Settings())


def _on_stop(stop: Callable[[], None]) -> None:
    """Say what SIGTERM and Ctrl-C do."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def _web(gateway: Gateway) -> uvicorn.Server:
    """Make the web server, which runs until SIGTERM or Ctrl-C; imported here because only two commands need it."""
    from dicom_gateway.app import create_app

    settings = gateway.settings
    tls = tls_options(settings.tls_certificate, settings.tls_key)
    served = {"host": settings.host, "port": settings.port, "http": PatientProtocol, **tls}
    config = uvicorn.Config(create_app(gateway), log_config=None, access_log=False, **served)
    config.timeout_graceful_shutdown = 3
    return uvicorn.Server(config)


@click.group()
def dicom() -> None:
    """The DICOM gateway: prior imaging, archive, viewer."""


dicom.add_command(peer)
dicom.add_command(rule)
for each in (status, verify, queue, dead, retry, hold, retain):
    dicom.add_command(each)


@dicom.command()
def scp() -> None:
    """Listen for DIMSE associations."""
    gateway = _open()
    replaying = ReplayProcess(gateway.settings)
    listener = Listener(gateway, replaying.replay)
    stopped = threading.Event()
    _on_stop(stopped.set)
    listener.start()
    while not stopped.wait(1.0):  # a signal that another thread took is told to the main thread when it next runs
        pass
    listener.stop()
    replaying.close()
    gateway.ingest.close()


@dicom.command()
def replay() -> None:
    """Take the journal into archive and index for each line on standard input, until that ends."""
    gateway = _open()
    serve_replay(gateway.ingest, sys.stdin.buffer, sys.stdout.buffer)
    gateway.ingest.close()


@dicom.command()
def serve() -> None:
    """Serve DICOMweb, the viewer and our own API over HTTP."""
    gateway = _open()
    _web(gateway).run()
    gateway.ingest.close()


@dicom.command()
def worker() -> None:
    """Retrieve, publish, forward: run the outbox."""
    configure_logging(PROGRAM)
    settings = Settings()
    run_worker(create_worker(settings, lambda: open_gateway(settings)))


@dicom.command(name="all")
def everything() -> None:
    """Listener, web and outbox in one process."""
    gateway = _open()
    listener, sweep = Listener(gateway), Sweep(GatewayRunner(gateway), gateway.settings.sweep_seconds)
    _on_stop(lambda: None)  # uvicorn handles the signals and then raises them once more
    listener.start()
    sweep.start()
    _web(gateway).run()
    sweep.stop()
    listener.stop()
    sweep.join()
    gateway.ingest.close()


@dicom.command(name="provision")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--deactivate-others",
    "others",
    is_flag=True,
    help="Deactivate the peers and rules that FILE lacks; nothing is deleted.",
)
def provision_file(file: Path, others: bool) -> None:
    """Add or change the peers and routing rules that FILE (JSON) lists."""
    gateway = _open()
    try:
        wanted = ProvisionFile.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    with gateway.engine.begin() as connection:
        count = provision(connection, wanted.peers, gateway.settings.ae_title)
        rules.provision(connection, wanted.rules)
        gone = deactivate_others(connection, wanted.peers) if others else []
        gone += rules.deactivate_others(connection, wanted.rules) if others else []
    for name in gone:
        logger(PROGRAM).warning("%s deactivated", name)
        click.echo(f"deactivated: {name}")
    click.echo(f"{count} peers" + (f", {len(wanted.rules)} rules" if wanted.rules else ""))


@dicom.command(name="import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def import_command(path: Path) -> None:
    """Keep every DICOM file of PATH: a folder, a CD, a ZIP archive or a single file."""
    gateway = _open()
    try:
        imported = import_medium(gateway.ingest, path)
        imported_by_command(gateway, f"command line ({getpass.getuser()})", imported.studies)
    except MediumRefused as error:
        raise click.ClickException(str(error)) from error
    finally:
        gateway.ingest.close()
    for name, reason in imported.refused:
        click.echo(f"{name}: {reason}", err=True)
    for name in imported.missing:
        click.echo(f"{name}: listed in the DICOMDIR and not there", err=True)
    counts = f"{imported.kept} kept, {len(imported.refused)} refused, {imported.passed_over} no DICOM"
    click.echo(f"{counts}, {len(imported.missing)} missing")
    if imported.refused or imported.missing:
        raise SystemExit(1)


@dicom.command()
@click.argument("peer")
def echo(peer: str) -> None:
    """Ask the peer named PEER whether it is there."""
    gateway = _open()
    try:
        with reader(gateway.engine).connect() as connection:
            found = by_name(connection, peer)
    except NotFound as error:
        raise click.ClickException(str(error)) from error
    failure = probe(gateway.engine, found)
    if failure is not None:
        raise click.ClickException(f"{found.title} at {found.host}:{found.port}: {failure.cause}")
    click.echo(f"{found.title} answers")


@dicom.group()
def viewer() -> None:
    """The OHIF viewer."""


@viewer.command(name="install")
@click.option("--target", type=click.Path(file_okay=False, path_type=Path), help="folder; by default the settings' one")
def install_viewer(target: Path | None) -> None:
    """Fetch OHIF by its pinned hash; quick when it is there already."""
    from dicom_gateway.viewer.install import InstallError, install

    folder = target or Settings().viewer_dir
    try:
        fresh = install(folder)
    except InstallError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"OHIF {'installed in' if fresh else 'stands in'} {folder}")
