"""Which applications a person has given access to, and taking it back."""

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.auth import tokens
from fhir_server.auth.policy import Offer, offers
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants
from fhir_server.store.auth_values import Account, LaunchContext
from fhir_server.store.database import Row


@dataclass(frozen=True, slots=True)
class Given:
    """One access that is alive: to whom, what, of which patient (an id), since and until when (epoch seconds)."""

    grant_id: str
    name: str
    offers: tuple[Offer, ...]
    patient: str | None
    renewed_at: float
    expires_at: float


async def given(server: AuthorizationServer, account: Account) -> list[Given]:
    """List what is alive, the newest first; a grant is named once, whatever number of tokens came of it."""
    found: dict[str, list[Row]] = {}
    for row in await auth_grants.grants_of(server.db, account.account_id, server.clock()):
        found.setdefault(row["grant_id"], []).append(row)
    return [_given(rows) for rows in found.values()]


async def withdraw(server: AuthorizationServer, account: Account, grant_id: str) -> str | None:
    """Take an access back; gives the application's name, None when this person gave no such access."""
    one = next((each for each in await given(server, account) if each.grant_id == grant_id), None)
    if one is None:
        return None
    await tokens.revoke_grant(server.db, grant_id, server.clock())
    return one.name


def _given(rows: Iterable[Row]) -> Given:
    longest = max(rows, key=lambda row: float(row["expires_at"]))
    return Given(
        grant_id=longest["grant_id"],
        name=longest["name"],
        offers=tuple(offers(longest["scope"].split())),
        patient=LaunchContext.from_json(longest["context_json"]).patient,
        renewed_at=max(float(row["issued_at"]) for row in rows),
        expires_at=float(longest["expires_at"]),
    )
