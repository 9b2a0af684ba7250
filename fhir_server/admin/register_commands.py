"""`konsil fhir client`, `tenant` and `account`: list, show, add, change, deactivate, activate."""

import getpass
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fhir_server.auth.register import Changed
    from fhir_server.context import Node
    from fhir_server.store.auth_registry import Kind

T = TypeVar("T")
COLUMNS = {
    "client": ("key", "title", "type", "scopes", "active"),
    "tenant": ("key", "issuer", "organization", "active"),
    "account": ("name", "title", "roles", "organization", "active"),
}
values_option = click.option(
    "--set", "texts", multiple=True, metavar="NAME=VALUE", help="may be repeated; JSON or text"
)


def groups() -> list[click.Group]:
    """A group of commands for each kind."""
    return [_group("client"), _group("tenant"), _group("account")]


def _group(kind: "Kind") -> click.Group:
    group = click.Group(
        kind, help=f"The {kind}s that the server knows; docs/provisioning.md says what their members mean."
    )
    for command in (_list(kind), _show(kind), _add(kind), _change(kind), _switch(kind, True), _switch(kind, False)):
        group.add_command(command)
    if kind == "client":
        group.add_command(_new_secret())
    return group


def _list(kind: "Kind") -> click.Command:
    @click.command("list", help=f"List every {kind}.")
    def command() -> None:
        from fhir_server.auth import register
        from konsil.assignments import table

        found = on_a_node(lambda node: register.every(node, kind))
        rows = [{**each.values, "title": each.values["name"], "key": each.key, "active": each.active} for each in found]
        rows = [row | {"name": each.name} for row, each in zip(rows, found, strict=True)]
        click.echo(table(rows, COLUMNS[kind]))

    return command


def _show(kind: "Kind") -> click.Command:
    @click.command("show", help=f"Show one {kind}, and what it is used for, as JSON.")
    @click.argument("name")
    def command(name: str) -> None:
        from fhir_server.auth import register

        click.echo(json.dumps(on_a_node(lambda node: register.named(node, kind, name)).document(), indent=1))

    return command


def _add(kind: "Kind") -> click.Command:
    @click.command("add", help=f"Add a {kind}. A secret or a link that it gets is printed once.")
    @click.argument("name")
    @values_option
    def command(name: str, texts: tuple[str, ...]) -> None:
        from fhir_server.auth import register

        key = {"client": "client_id", "tenant": "name", "account": "username"}[kind]
        values = _values(texts) | {key: name}
        _print(on_a_node(lambda node: register.add(node, by_command(node), kind, values)), "added")

    return command


def _change(kind: "Kind") -> click.Command:
    @click.command("change", help=f"Change members of a {kind}; the others stay.")
    @click.argument("name")
    @values_option
    def command(name: str, texts: tuple[str, ...]) -> None:
        from fhir_server.auth import register

        values = _values(texts)

        async def run(node: "Node") -> "Changed":
            return await register.change(node, by_command(node), await register.named(node, kind, name), values)

        _print(on_a_node(run), "changed")

    return command


def _switch(kind: "Kind", active: bool) -> click.Command:
    verb = "activate" if active else "deactivate"
    what = "Let it be used again" if active else "Deactivate it, and end what it has open"

    @click.command(verb, help=f"{what}; nothing is deleted.")
    @click.argument("name")
    def command(name: str) -> None:
        from fhir_server.auth import register

        async def run(node: "Node") -> "Changed":
            return await register.activate(
                node, by_command(node), await register.named(node, kind, name), active=active
            )

        _print(on_a_node(run), f"{verb}d")

    return command


def _new_secret() -> click.Command:
    @click.command("new-secret", help="Give a client another secret and print it, once; the former one is refused.")
    @click.argument("name")
    def command(name: str) -> None:
        from fhir_server.auth import register

        async def run(node: "Node") -> "Changed":
            return await register.new_secret(node, by_command(node), await register.named(node, "client", name))

        _print(on_a_node(run), "has a new secret")

    return command


def by_command(node: "Node") -> Any:
    """Whoever runs a command, as the audit names it."""
    from fhir_server.auth import register

    return register.operator(node, f"{register.COMMAND} ({getpass.getuser()})")


def _values(texts: tuple[str, ...]) -> dict[str, Any]:
    from konsil.assignments import NotAssigned, assigned

    try:
        values = assigned(texts)
    except NotAssigned as error:
        raise click.ClickException(str(error)) from None
    for name in ("roles", "redirect_uris"):
        if isinstance(values.get(name), str):
            values[name] = values[name].split()
    return values


def _print(changed: "Changed", verb: str) -> None:
    click.echo(f"{changed.now.thing} {verb}")
    if changed.once is not None:
        click.echo(f"shown once: {changed.once}")


def on_a_node(work: "Callable[[Node], Awaitable[T]]") -> T:
    """Do it on a node of its own.  What is refused is said in a sentence."""
    import asyncio

    from fhir_server.app import open_node
    from fhir_server.errors import FhirError
    from fhir_server.settings import Settings

    async def run() -> T:
        async with open_node(Settings()) as node:
            return await work(node)

    try:
        return asyncio.run(run())
    except FhirError as error:
        raise click.ClickException(error.diagnostics) from None
