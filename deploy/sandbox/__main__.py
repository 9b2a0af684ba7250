"""`python -m deploy.sandbox prepare|serve`: make the pretend hospital, run its EHR."""

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
def prepare_command(directory: Path) -> None:
    """Make data, keys and provisioning; quick when done already."""
    try:
        prepare(Plan(directory), click.echo)
    except PrepareError as error:
        sys.exit(str(error))


@main.command()
def serve() -> None:
    """Run the EHR."""
    from deploy.sandbox.ehr.app import run

    run()


if __name__ == "__main__":
    main()
