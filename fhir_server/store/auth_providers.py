"""Rows of sign-in by a hospital's identity provider: the providers, and who signed in by them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sqlalchemy import delete, false, insert, select, update

from fhir_server.store.auth_models import account, code, federated_sign_in, identity_provider, session, token
from fhir_server.store.auth_registry import Executor, upsert
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Row, Transaction


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An OpenID provider whose people may sign in here, and as whom.

    `roles` and `organizations` are rules in their order: what somebody is whose claim (`claim`, a path) has `value`;
    a rule without claim holds for everybody.  `organization` is that of who meets no rule of `organizations`.
    Without `secret_sealed` the client proves itself by `private_key_jwt` with the server's published keys.
    """

    name: str
    title: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    algorithms: frozenset[str]
    roles: tuple[Mapping[str, Any], ...]
    organization: str | None = None
    organizations: tuple[Mapping[str, Any], ...] = ()
    origins: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    userinfo: bool = False
    secret_sealed: bytes | None = field(default=None, repr=False)

    @property
    def proves_second_factor(self) -> bool:
        """Whether nobody gets in from there without the second factor that was agreed."""
        return bool(self.acr or self.amr)


@dataclass(frozen=True, slots=True)
class FederatedSignIn:
    """A sign-in by a provider: what a sign-out there has to end here.  `provider_session` is the claim `sid`."""

    provider: str
    signed_in_at: float
    id_token_sealed: bytes
    provider_session: str | None = None


async def list_providers(db: Executor) -> list[IdentityProvider]:
    """List the active providers in the order of the provisioned file."""
    chosen = select(identity_provider).where(identity_provider.c.disabled.is_(false()))
    return [_provider(row) for row in await db.fetch(chosen.order_by(identity_provider.c.position))]


async def find_provider(db: Executor, name: str) -> IdentityProvider | None:
    """Look an active provider up by its name."""
    chosen = select(identity_provider).where(identity_provider.c.name == name)
    rows = await db.fetch(chosen.where(identity_provider.c.disabled.is_(false())))
    return _provider(rows[0]) if rows else None


async def find_secret(db: Executor, name: str) -> bytes | None:
    """Look up a provider's sealed secret, of one that was deactivated too."""
    rows = await db.fetch(select(identity_provider.c.secret_sealed).where(identity_provider.c.name == name))
    return bytes(rows[0]["secret_sealed"]) if rows and rows[0]["secret_sealed"] is not None else None


async def put_provider(db: Transaction, value: IdentityProvider, position: int) -> None:
    """Insert a provider, or replace what is known of it."""
    content = asdict(value) | {"algorithms": sorted(value.algorithms)}
    own = {name: content.pop(name) for name in ("name", "issuer", "secret_sealed")}
    row = own | {"position": position, "content_json": orjson.dumps(content).decode(), "disabled": False}
    await upsert(db, identity_provider, row, ["name"])


async def deactivate_others(db: Transaction, named: Collection[str]) -> list[str]:
    """Deactivate the active providers that are not named; gives their names."""
    table = identity_provider
    others = table.c.name.not_in(list(named)) & table.c.disabled.is_(false())
    rows = await db.fetch(update(table).where(others).values(disabled=True).returning(table.c.name))
    return [row["name"] for row in rows]


async def add_sign_in(
    db: Transaction, token_hash: str, account_id: str, value: FederatedSignIn, expires_at: float
) -> None:
    """Note by which provider a session began."""
    await db.execute(
        insert(federated_sign_in).values(
            **asdict(value), token_hash=token_hash, account_id=account_id, expires_at=expires_at
        )
    )


async def find_sign_in(db: Executor, token_hash: str) -> FederatedSignIn | None:
    """Look up by which provider a session began; None for one of a local account."""
    rows = await db.fetch(select(federated_sign_in).where(federated_sign_in.c.token_hash == token_hash))
    if not rows:
        return None
    row = rows[0]
    sealed = bytes(row["id_token_sealed"])
    return FederatedSignIn(row["provider"], row["signed_in_at"], sealed, row["provider_session"])


async def take_sign_ins(db: Transaction, provider: str, session_id: str | None, account_id: str | None) -> list[Row]:
    """Remove the sign-ins of a provider's session (`sid`), or of a person, or both; gives the rows."""
    table = federated_sign_in
    meant = table.c.provider == provider
    meant &= table.c.provider_session == session_id if session_id is not None else meant
    meant &= table.c.account_id == account_id if account_id is not None else meant
    return list(await db.fetch(delete(table).where(meant).returning(*table.c)))


async def end_sign_ins(db: Transaction, rows: Sequence[Row], now: float) -> None:
    """End the session of each, and every code and token that was given for it."""
    for row in rows:
        await db.execute(delete(session).where(session.c.token_hash == row["token_hash"]))
        for table, column in ((code, "used_at"), (token, "revoked_at")):
            of_it = (table.c.account_id == row["account_id"]) & (table.c.signed_in_at == row["signed_in_at"])
            await db.execute(update(table).where(of_it, table.c[column].is_(None)).values({column: now}))


async def change_account(db: Transaction, value: Account, provider: str, now: float) -> bool:
    """Replace name, roles and organization of a person who may sign in; False for one who may not."""
    changed: dict[str, Any] = {"name": value.name, "roles_json": orjson.dumps(sorted(value.roles)).decode()}
    changed |= {"organization": value.organization, "version": account.c.version + 1}
    changed |= {"changed_at": now, "changed_by": provider}
    statement = update(account).where(account.c.account_id == value.account_id, account.c.disabled.is_(false()))
    return bool(await db.fetch(statement.values(**changed).returning(account.c.account_id)))


def _provider(row: Row) -> IdentityProvider:
    content = orjson.loads(row["content_json"])
    lists = {name: tuple(content[name]) for name in ("scopes", "roles", "organizations", "origins", "acr", "amr")}
    sealed = bytes(row["secret_sealed"]) if row["secret_sealed"] is not None else None
    own = {"name": row["name"], "issuer": row["issuer"], "secret_sealed": sealed}
    return IdentityProvider(**(content | lists | own | {"algorithms": frozenset(content["algorithms"])}))
