"""`python -m deploy.sandbox prepare|serve`: make the pretend hospital, run its EHR."""

import os
import sys
from pathlib import Path

import click

from deploy.sandbox.plan import Plan
from deploy.sandbox.prepare import PrepareError, prepare


@click.group()
def main() -> None:
    """A pretend hospital: its EHR with two tenants, its charts, an outside PACS."""


@main.command("prepare")
@click.option("--dir", "directory", type=click.Path(path_type=Path), default=Path(".konsil"), show_default=True)
@click.option("--cases/--no-cases", default=True, show_default=True, help="Let a program make cases at every stage.")
def prepare_command(directory: Path, cases: bool) -> None:
    """Make data, keys and provisioning; quick when done already."""
    try:
        prepare(Plan(directory, cases=cases, guided_visits=True, workstation=True), click.echo)
    except PrepareError as error:
        sys.exit(str(error))


@main.command()
def serve() -> None:
    """Run the EHR."""
    from deploy.sandbox.ehr.app import run

    run()


@main.command("cases")
@click.option("--dir", "directory", type=click.Path(path_type=Path), default=Path(".konsil"), show_default=True)
@click.option("--pause", default=0.0, show_default=True, help="Seconds to rest between two cases.")
@click.option("--only", multiple=True, help="Key of a story; may be given more than once.")
def cases_command(directory: Path, pause: float, only: tuple[str, ...]) -> None:
    """Make the demo's cases on the running platform, as the people of the demo; goes on where it stopped."""
    from deploy.sandbox.cases.run import run

    os.nice(10)  # whoever is looking at the demo goes first
    sys.exit(run(directory, pause, only))


if __name__ == "__main__":
    main()
