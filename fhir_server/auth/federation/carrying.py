"""A provider's sign-in carried over the second step, as members of what is kept on the server meanwhile."""

import base64
from collections.abc import Mapping
from typing import Any

from fhir_server.auth.federation.arriving import Arrived
from fhir_server.auth.federation.leaving import Trip
from fhir_server.store.auth_providers import FederatedSignIn, IdentityProvider
from konsil.secrets import seal


def sign_in_of(provider: IdentityProvider, arrived: Arrived, trip: Trip, now: float) -> FederatedSignIn:
    """Note what a sign-out at the provider, or here, will need: `sid`, and the id_token, sealed."""
    sid = arrived.claims.get("sid")
    known = sid if isinstance(sid, str) and sid else None
    return FederatedSignIn(provider.name, arrived.signed_in_at(trip, now), seal(arrived.id_token.encode()), known)


def packed(value: FederatedSignIn | None) -> dict[str, Any]:
    """Write it as JSON members; none for a local account."""
    if value is None:
        return {}
    sealed = base64.b64encode(value.id_token_sealed).decode()
    return {"federated": [value.provider, value.signed_in_at, sealed, value.provider_session]}


def unpacked(data: Mapping[str, Any]) -> FederatedSignIn | None:
    """Read what `packed` has written."""
    if "federated" not in data:
        return None
    provider, signed_in_at, sealed, session_id = data["federated"]
    return FederatedSignIn(provider, signed_in_at, base64.b64decode(sealed), session_id)
