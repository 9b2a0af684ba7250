"""`konsil dicom status`, `konsil dicom verify`: how the gateway's keeping stands, and the proof of it."""

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
import httpx
from sqlalchemy import func, select

from dicom_gateway import aside
from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.index.models import instance
from dicom_gateway.keeping import torn, verify_fhir
from dicom_gateway.keeping.findings import MEANING, Finding
from dicom_gateway.keeping.verify import Check
from dicom_gateway.publish.exchange import exchange_of
from dicom_gateway.publish.fhir import FhirError
from dicom_gateway.settings import Settings
from konsil.database import reader
from konsil.telemetry import configure_logging

MOST_NAMED = 20


@contextmanager
def opened() -> Iterator[Gateway]:
    """The gateway of the settings, for one command."""
    configure_logging("dicom_gateway")
    gateway = open_gateway(Settings())
    try:
        yield gateway
    finally:
        gateway.ingest.close()
        gateway.engine.dispose()


@click.command()
def status() -> None:
    """What is kept, what lies aside, and how much room is left."""
    with opened() as gateway:
        with reader(gateway.engine).connect() as connection:
            counted = connection.execute(select(instance.c.state, func.count()).group_by(instance.c.state)).all()
            lying = aside.total(connection)
        for state, number in sorted((str(state), number) for state, number in counted):
            click.echo(f"{number} instances {state}")
        click.echo(f"{lying} objects aside")
        click.echo(f"{len(torn.torn(gateway))} torn journal parts, {len(torn.recovered(gateway))} recovered ones")
        for path in torn.torn(gateway):
            click.echo(f"  {path.name}: konsil dicom verify --repair takes in what is whole")
        click.echo(f"{shutil.disk_usage(gateway.settings.data_dir).free >> 30} GB free")


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended; nothing is deleted.")
@click.option("--without-fhir", is_flag=True, help="Leave the FHIR server out of it.")
def verify(repair: bool, without_fhir: bool) -> None:
    """Prove that archive, journal, index and FHIR agree; ends with 1 when something differs and is not mended."""
    with opened() as gateway:
        total = Check(gateway).total()
        with click.progressbar(length=total, label="Objects", file=sys.stderr) as bar:
            found = list(Check(gateway, repair, bar.update).run())
        try:
            if gateway.settings.mode == "gateway" and not without_fhir:
                exchange = exchange_of(gateway)
                found += verify_fhir.check(exchange, repair=repair)
                exchange.close()
        except (FhirError, httpx.HTTPError) as error:
            _tell(found)
            raise click.ClickException(f"The FHIR server did not answer ({type(error).__name__}).") from error
    _tell(found)
    if any(not each.mended for each in found):
        raise SystemExit(1)


def _tell(found: Iterable[Finding]) -> None:
    """What differs, by kind."""
    all_ = list(found)
    mended = Counter(each.kind for each in all_ if each.mended)
    for kind, number in sorted(Counter(each.kind for each in all_).items()):
        click.echo(f"{kind}: {number}, {mended[kind]} mended ({MEANING[kind]})")
        for each in [each for each in all_ if each.kind == kind][:MOST_NAMED]:
            click.echo(f"  {each.subject}{' (mended)' if each.mended else ''}")
        if number > MOST_NAMED:
            click.echo(f"  and {number - MOST_NAMED} more")
    click.echo("Everything agrees." if not all_ else f"{len(all_)} differ, {sum(mended.values())} mended.")
