"""The `konsil` command.  Each program's commands are found by name and imported only when called."""

from importlib import import_module
from importlib.metadata import entry_points

import click

_GROUP = "konsil.commands"

# What a source tree has when it is not installed; the same names stand as entry points in pyproject.toml.
_SHIPPED = {
    "app": "smart_app.cli:app",
    "audit": "fhir_server.cli:audit",
    "dicom": "dicom_gateway.cli:dicom",
    "fhir": "fhir_server.cli:fhir",
    "up": "konsil.up:up",
}
_HELP = {
    "app": "The SMART app: screens and write-back.",
    "audit": "The audit journal of the FHIR server.",
    "dicom": "The DICOM gateway: prior imaging, archive, viewer.",
    "fhir": "The FHIR server and its authorization server.",
    "up": "Run a set of programs under one supervisor.",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called; help needs no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(targets())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is no such name."""
        target = targets().get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - an entry point that is no command is a fault in packaging
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _HELP.get(name, "")) for name in self.list_commands(ctx)])


def targets() -> dict[str, str]:
    """Every command's name and place, `module:attribute`: this distribution's own, and what others have added."""
    return _SHIPPED | {point.name: point.value for point in entry_points(group=_GROUP)}


@click.group(cls=LazyGroup)
@click.version_option(package_name="konsil")
def main() -> None:
    """Second opinions as a step inside the hospital's own record."""
