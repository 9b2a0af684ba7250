"""`konsil audit`: verify, retain."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fhir_server.audit.retention import Keys
    from fhir_server.context import Node

A_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """The audit journal of the FHIR server."""


@audit.command("verify")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Prove what was exported.")
def verify_audit(file: Path | None) -> None:
    """Prove that no AuditEvent was changed, removed or put in since it was sealed; fails when one was."""
    from fhir_server.admin.register_commands import on_a_node

    problems = on_a_node(_journal if file is None else partial(_exported, file))
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise click.ClickException("the journal is not what was written")


@audit.command("retain")
@click.argument("file", type=A_FILE)
@click.option("--days", type=int, help="Keep so many, if that is more than KONSIL_FHIR_AUDIT_RETENTION_DAYS.")
def retain_audit(file: Path, days: int | None) -> None:
    """Export into FILE what was kept for long enough, signed, and then remove it; the rest is proved as before."""
    from fhir_server.admin.register_commands import on_a_node
    from fhir_server.audit.retention import CannotRemove

    try:
        click.echo(on_a_node(lambda node: _retained(node, file, days)))
    except FileExistsError:
        raise click.ClickException(f"{file} exists already") from None
    except CannotRemove as error:
        raise click.ClickException(f"nothing more is removed: {error}") from None


async def _journal(node: "Node") -> list[str]:
    from fhir_server.audit.verify import verify
    from fhir_server.auth import signing
    from fhir_server.store.audit import count_unsealed

    proofs = [proof async for proof in verify(node.database, partial(signing.check, node.database))]
    entries = sum(proof.seal.count for proof in proofs)
    after = f" after seal {proofs[0].seal.seal - 1}" if proofs and proofs[0].seal.seal > 1 else ""
    head = f", head {proofs[-1].seal.head.hex()}" if proofs else ""
    unsealed = await count_unsealed(node.database)
    click.echo(f"{entries} entries in {len(proofs)} seals{after}{head}; {unsealed} not sealed yet")
    return [f"seal {proof.seal.seal}: {problem}" for proof in proofs for problem in proof.problems]


async def _exported(file: Path, node: "Node") -> list[str]:
    from fhir_server.audit.archive import problems_of
    from fhir_server.auth import signing

    problems = await problems_of(file, partial(signing.check, node.database))
    click.echo(f"{file}: {len(problems)} problems")
    return problems


async def _retained(node: "Node", file: Path, days: int | None) -> str:
    import time

    from fhir_server.admin.register_commands import by_command
    from fhir_server.audit import retention

    least = node.settings.audit_retention_days
    if days is not None and days < least:
        raise click.ClickException(f"at least {least} days are kept (KONSIL_FHIR_AUDIT_RETENTION_DAYS)")
    if file.exists():
        raise FileExistsError
    keys, kept = await _keys(node), days or least
    leaving = await retention.old(node.database, keys, kept, time.time_ns() // 1000)
    if not leaving.seals:
        return f"nothing is older than {kept} days"
    origin = by_command(node).origin
    await retention.export(node.database, keys, leaving, file, origin)
    await retention.remove(node.database, keys, leaving, file, origin)
    return f"{leaving.range}: exported into {file} and removed"


async def _keys(node: "Node") -> "Keys":
    import time

    from fhir_server.audit.retention import Keys
    from fhir_server.auth import signing
    from fhir_server.store.auth_sessions import signing_keys

    async def sign(claims: Any) -> str:
        return await signing.sign(node.database, claims, time.time())

    public = [key["public"] for key in await signing_keys(node.database, retired=True)]
    return Keys(sign, partial(signing.check, node.database), public)
