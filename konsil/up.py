"""`konsil up FILE`: run the programs that a file lists, until Ctrl-C."""

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from konsil.supervise import Program, StartError, Supervisor


class ProgramEntry(BaseModel):
    """One program of the file."""

    model_config = ConfigDict(extra="forbid")

    name: str
    command: list[str]
    env: dict[str, str] = {}
    ports: list[int] = []
    health: str | None = None
    depends: list[str] = []
    once: bool = False


class Person(BaseModel):
    """Somebody to be, shown at the end of the start."""

    name: str
    role: str
    user: str | None = None
    password: str | None = None
    pin: str | None = None
    where: str | None = None
    what: str | None = Field(None, alias="try")


class Door(BaseModel):
    """The one address to open, and who to be there."""

    url: str
    people: list[Person] = []


class Setup(BaseModel):
    """The file; keys that are for others are left alone."""

    programs: list[ProgramEntry]
    open: Door | None = None


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--wait", "seconds", default=90.0, show_default=True, help="Seconds until everything must be ready.")
def up(file: Path, seconds: float) -> None:
    """Run the programs listed in FILE under one supervisor; Ctrl-C stops them all."""
    setup = read(file)
    folder = file.resolve().parent
    with _alone(folder):
        try:
            run(setup, folder / "log", seconds)
        except StartError as error:
            raise click.ClickException(str(error)) from error


def read(file: Path) -> Setup:
    """Read the list of programs.  Raises ClickException when it is not one."""
    try:
        return Setup.model_validate_json(file.read_bytes())
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        raise click.ClickException(f"{file}: {places}") from error


def run(setup: Setup, logs: Path, seconds: float) -> None:
    """Start, tell where to go, and keep everything running until SIGINT or SIGTERM.  Raises StartError."""
    supervisor = Supervisor([Program(**entry.model_dump()) for entry in setup.programs], logs, click.echo)

    def stop(*_: Any) -> None:
        supervisor.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    click.echo(f"Starting {len(setup.programs)} programs, logs in {_short(logs)}")
    if supervisor.start(seconds):
        _welcome(setup.open)
        supervisor.watch()
    click.echo("Everything is stopped.")


def _welcome(door: Door | None) -> None:
    click.echo("\nEverything runs. Ctrl-C stops it.")
    if door is None:
        return
    click.echo(f"\n  Open  {click.style(door.url, bold=True)}\n")
    for person in door.people:
        click.echo("\n".join(_lines(person)) + "\n")


def _lines(person: Person) -> Iterator[str]:
    yield f"  {click.style(person.name, bold=True)}, {person.role}"
    if person.user:
        pin = f"   signing PIN {person.pin}" if person.pin else ""
        yield f"      user {person.user}   password {person.password or ''}{pin}   {person.where or ''}".rstrip()
    if person.what:
        yield f"      {person.what}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two supervisors never run one set of data.  Raises ClickException."""
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"already running on {_short(folder)}") from None
        yield


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
