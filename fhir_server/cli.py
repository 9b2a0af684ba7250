"""`konsil fhir`: serve, migrate, provision, load, count, verify, back up, restore; `konsil audit`."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click

from fhir_server.admin.audit_commands import audit
from fhir_server.admin.register_commands import groups

if TYPE_CHECKING:
    from fhir_server.context import Node

T = TypeVar("T")
__all__ = ["audit", "fhir"]


@click.group()
def fhir() -> None:
    """The FHIR server and its authorization server."""


for each in groups():
    fhir.add_command(each)


@fhir.command()
def serve() -> None:
    """Serve HTTP (settings KONSIL_FHIR_...)."""
    import uvicorn

    from fhir_server.app import PROGRAM, create_app
    from fhir_server.settings import Settings
    from konsil.collector import expect_large_requests
    from konsil.serving import PatientProtocol, tls_options
    from konsil.telemetry import configure_logging

    settings = Settings()
    configure_logging(PROGRAM)
    expect_large_requests()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        **tls_options(settings.tls_certificate, settings.tls_key),
    )


@fhir.command()
def migrate() -> None:
    """Bring the database schema up to date."""
    from fhir_server.app import migrate as run
    from fhir_server.settings import Settings

    run(Settings())


@fhir.command()
@click.option("--type", "types", multiple=True, help="Also all index rows of this resource type; may be repeated.")
def reindex(types: tuple[str, ...]) -> None:
    """Index what is pending: search parameters added or changed since. Stopped, it goes on where it was."""
    import asyncio

    from fhir_server.app import open_node
    from fhir_server.settings import Settings
    from fhir_server.store.parameters import Loaded
    from fhir_server.store.reindex import Reindexer

    async def index() -> Loaded:
        async with open_node(Settings()) as node:
            unknown = set(types) - node.definitions.resource_types
            if unknown:
                raise click.ClickException(f"'{min(unknown)}' is no resource type of R4")
            with _bars() as show:
                return await Reindexer(node.database, node.extractor, node.numbers).run(show, types)

    loaded = asyncio.run(index())
    for url, why in sorted(loaded.refused.items()):
        click.echo(f"not taken up: {url}: {why}", err=True)
    click.echo(f"indexed: {sum(map(len, loaded.pending.values()))} parameters of {len(loaded.pending)} types")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each name: what is done, and of how much."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    tasks: dict[str, TaskID] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield show


@fhir.command("bulk-load")
@click.argument("places", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--organization", help="Organization/ID that resources belong to which are about no patient.")
@click.option("--errors", type=click.Path(path_type=Path), default="bulk-load-errors.ndjson", show_default=True)
@click.option("--processes", type=click.IntRange(1), help="So many load at once; as many as there are processors.")
def bulk_load(places: tuple[Path, ...], organization: str | None, errors: Path, processes: int | None) -> None:
    """Load NDJSON, Bundles and resources from files and folders; run again after a stop, it goes on."""
    from fhir_server.admin.bulk_load import Load
    from fhir_server.admin.bulk_load import bulk_load as run
    from fhir_server.settings import Settings

    load = Load(places, organization, processes) if processes else Load(places, organization)
    with errors.open("a", encoding="utf-8") as problems, _bars() as show:
        loaded = run(Settings(), load, problems, lambda done, total: show("bytes", done, total))
    click.echo(f"{loaded.created} new, {loaded.updated} changed, {loaded.unchanged} as they were")
    if loaded.resumed:
        click.echo(f"{loaded.resumed} pieces had been loaded before")
    if loaded.refused:
        raise click.ClickException(f"{loaded.refused} could not be loaded: {errors}")


@fhir.command()
@click.option("--resend", type=int, help="Number of a failed one that is to be sent again.")
def mails(resend: int | None) -> None:
    """List the e-mails that could not be delivered, or send one again."""
    from fhir_server.auth.mail import failed, send_again
    from fhir_server.settings import Settings

    if resend is not None:
        if not send_again(Settings(), resend):
            raise click.ClickException(f"there is no failed e-mail {resend}")
        click.echo(f"e-mail {resend} will be sent again")
        return
    for number, kind, reason in failed(Settings()):
        click.echo(f"{number:>8} {kind:<12} {reason}")


@fhir.command()
def count() -> None:
    """Say how many resources there are of each type."""
    import asyncio

    from fhir_server.app import open_node
    from fhir_server.settings import Settings
    from fhir_server.store.verify import counts

    async def run() -> None:
        async with open_node(Settings()) as node:
            found = await counts(node.database)
            for resource_type, number in found.items():
                click.echo(f"{number:>12,} {resource_type}")
            click.echo(f"{sum(found.values()):>12,} altogether")

    asyncio.run(run())


@fhir.command()
@click.option("--repair", is_flag=True, help="Make the index rows anew that do not agree.")
def verify(repair: bool) -> None:
    """Check that every index row agrees with its resource; fails when one does not."""
    import asyncio

    from fhir_server.app import open_node
    from fhir_server.settings import Settings
    from fhir_server.store.verify import Verified, Verifier

    async def run() -> Verified:
        async with open_node(Settings()) as node:
            with _bars() as show:
                verifier = Verifier(node.database, node.extractor, node.numbers)
                return await verifier.run(lambda done, total: show("resources", done, total), repair=repair)

    verified = asyncio.run(run())
    for reference in verified.disagree:
        click.echo(f"index rows differ: {reference}", err=True)
    click.echo(f"{verified.agree} agree, {len(verified.disagree)} differ, {verified.orphans} rows of nothing")
    if repair:
        click.echo("repaired")
    elif verified.disagree or verified.orphans:
        raise click.ClickException("run it with --repair")


@fhir.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the embedded database into FILE, while the server runs, and check the copy."""
    from fhir_server.admin.backup import CannotBackUp, embedded, exported
    from fhir_server.admin.backup import backup as run
    from fhir_server.admin.register_commands import by_command, on_a_node
    from fhir_server.settings import Settings

    try:
        if embedded(Settings().database_url).exists():
            on_a_node(lambda node: exported(node, by_command(node).origin, file))
        with _bars() as show:
            run(Settings().database_url, file, lambda done, total: show("pages", done, total))
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from None


@fhir.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Put a backup in the place of the embedded database; the server must be stopped."""
    from fhir_server.admin.backup import CannotBackUp, imported
    from fhir_server.admin.backup import restore as run
    from fhir_server.admin.register_commands import by_command, on_a_node
    from fhir_server.settings import Settings

    try:
        with _bars() as show:
            former = run(Settings().database_url, file, lambda done, total: show("pages", done, total))
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from None
    on_a_node(lambda node: imported(node, by_command(node).origin, file))
    click.echo(f"restored{f'; the former database is {former}' if former else ''}")


@fhir.command()
@click.argument("file", type=click.File("rb"))
@click.option("--deactivate-others", is_flag=True, help="Deactivate clients, tenants and accounts that FILE lacks.")
def provision(file: BinaryIO, deactivate_others: bool) -> None:
    """Insert or update the clients, tenants, accounts and resources of a JSON FILE (docs/provisioning.md)."""
    import asyncio

    from fhir_server import wire
    from fhir_server.app import open_node
    from fhir_server.auth.provision import Document
    from fhir_server.auth.provision import provision as run
    from fhir_server.settings import Settings

    async def write() -> dict[str, int]:
        async with open_node(Settings()) as node:
            document = Document.model_validate(wire.loads(file.read()))
            return await run(node, document, deactivate_others=deactivate_others)

    counts = asyncio.run(write())
    click.echo(f"provisioned: {', '.join(f'{count} {name}' for name, count in counts.items())}")


@fhir.command("rotate-key")
@click.option("--at-once", is_flag=True, help="A key has leaked: retire the others, what they signed is refused.")
def rotate_key(at_once: bool) -> None:
    """Make a new signing key: published now, signing in ten minutes; the former one stays until its tokens ended."""
    from fhir_server.auth import administration

    click.echo(f"new key {_administer(lambda node: administration.rotate_key(node, at_once=at_once))}")


@fhir.command("reset-account")
@click.argument("username")
def reset_account(username: str) -> None:
    """Print a link with which USERNAME sets a new password within a day; the second step is then set up anew."""
    from fhir_server.auth import administration

    click.echo(_administer(lambda node: administration.reset_link(node, username)))


@fhir.command("sign-out")
@click.argument("username")
def sign_out(username: str) -> None:
    """End every session of USERNAME and every access given to an application."""
    from fhir_server.auth import administration

    _administer(lambda node: administration.sign_out(node, username))
    click.echo(f"{username} is signed out everywhere")


def _administer(act: "Callable[[Node], Coroutine[object, object, T]]") -> T:
    """Do one act of an administrator on the configured server's database."""
    import asyncio

    from fhir_server.app import open_node
    from fhir_server.auth.administration import UnknownAccount
    from fhir_server.settings import Settings

    async def run() -> T:
        async with open_node(Settings()) as node:
            return await act(node)

    try:
        return asyncio.run(run())
    except UnknownAccount as error:
        raise click.ClickException(str(error)) from None


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
