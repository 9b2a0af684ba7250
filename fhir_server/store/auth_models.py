"""Tables of the authorization server: clients, accounts, sessions, grants, keys.

Secrets (codes, tokens, handles) are kept as SHA-256 of 256 random bits, passwords as argon2id, signing keys sealed.
Times are epoch seconds; `*_json` columns and `scope` are text.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, Table, Text, false

from fhir_server.store.models import metadata


def _changed() -> tuple[Column[Any], ...]:
    """Columns of what administrators change: which version, since when, by whom, and whether a file says so."""
    return (
        Column("version", Integer, nullable=False, server_default="1"),
        Column("changed_at", Double),
        Column("changed_by", Text),
        Column("from_file", Boolean, nullable=False, server_default=false()),
    )


client = Table(
    "auth_client",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),  # public | confidential
    Column("redirect_uris_json", Text, nullable=False),
    Column("jwks_json", Text),
    Column("jwks_url", Text),
    Column("secret_hash", Text),
    Column("scope", Text, nullable=False),
    Column("launch_url", Text),
    Column("trusted", Boolean, nullable=False),
    Column("may_exchange", Boolean, nullable=False),
    Column("roles_json", Text, nullable=False),
    Column("organization", Text),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    *_changed(),
)

account = Table(
    "auth_account",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("username", Text, unique=True),
    Column("password_hash", Text),
    Column("issuer", Text),
    Column("subject", Text),
    Column("name", Text, nullable=False),
    Column("roles_json", Text, nullable=False),
    Column("organization", Text),
    Column("fhir_user", Text),
    Column("disabled", Boolean, nullable=False),
    Column("totp_sealed", LargeBinary),  # the secret of the second step, RFC 6238
    Column("totp_step", BigInteger),  # the last time step whose code was used
    Column("pin_hash", Text),  # the signing PIN
    Column("pin_failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("signed_in_at", Double),  # last time, by password
    *_changed(),
    Column("email", Text),  # confirmed; of who came by a link, the username too
    Column("email_codes", Boolean, nullable=False, server_default=false()),  # the second step is a code by e-mail
    Index("auth_account_identity", "issuer", "subject", unique=True),
)

attempt = Table(
    "auth_attempt",
    metadata,
    Column("username_hash", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Double, nullable=False),
)

session = Table(
    "auth_session",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("signed_in_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

launch = Table(
    "auth_launch",
    metadata,
    Column("handle_hash", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Text, ForeignKey("auth_client.client_id", ondelete="CASCADE"), nullable=False),
    Column("context_json", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
)

authorization = Table(  # an authorization request that waits for a person: sign-in, patient, consent
    "auth_authorization",
    metadata,
    Column("handle_hash", Text, primary_key=True),
    Column("parameters_json", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
)

step = Table(  # what a person has begun: the second step of a sign-in, enrolment, a new password by link
    "auth_step",
    metadata,
    Column("handle_hash", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False),
    Column("data_json", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
    Column("failures", Integer, nullable=False, server_default="0"),
)

signing = Table(  # what a person is about to sign through a client, and how she proved that it is her
    "auth_signing",
    metadata,
    Column("handle_hash", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Text, ForeignKey("auth_client.client_id", ondelete="CASCADE"), nullable=False),
    Column("resource", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("amr", Text),  # how she proved herself, RFC 8176; empty until she has
    Column("auth_time", Double),
    Column("used_at", Double),
    Index("auth_signing_content", "account_id", "sha256"),
)

code = Table(
    "auth_code",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, ForeignKey("auth_client.client_id", ondelete="CASCADE"), nullable=False),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("context_json", Text, nullable=False),
    Column("nonce", Text),
    Column("code_challenge", Text, nullable=False),
    Column("signed_in_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
)

token = Table(
    "auth_token",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # access | refresh
    Column("grant_id", Text, nullable=False, index=True),
    Column("client_id", Text, ForeignKey("auth_client.client_id", ondelete="CASCADE"), nullable=False),
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE")),
    Column("scope", Text, nullable=False),
    Column("context_json", Text, nullable=False),
    Column("signed_in_at", Double),
    Column("issued_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),  # a refresh token that was rotated
    Column("revoked_at", Double),
)

tenant = Table(
    "auth_tenant",
    metadata,
    Column("name", Text, primary_key=True),
    Column("issuer", Text, nullable=False, unique=True),
    Column("jwks_json", Text),
    Column("jwks_url", Text),
    Column("client_id", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    *_changed(),
)

identity_provider = Table(  # where people of a hospital sign in.  OpenID Connect Core 1.0
    "auth_identity_provider",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),  # among the buttons of the sign-in page
    Column("issuer", Text, nullable=False, unique=True),
    Column("content_json", Text, nullable=False),
    Column("secret_sealed", LargeBinary),
    Column("disabled", Boolean, nullable=False, server_default=false()),
)

federation = Table(  # who was sent to an identity provider and is expected back, to sign in or out
    "auth_federation",
    metadata,
    Column("state_hash", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("browser_hash", Text, nullable=False),
    Column("parameters_json", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("used_at", Double),
)

federated_sign_in = Table(  # what sign-out at the provider ends here; outlives the session, as tokens do
    "auth_federated_sign_in",
    metadata,
    Column("token_hash", Text, primary_key=True),  # of the session
    Column("account_id", Text, ForeignKey("auth_account.account_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("provider_session", Text),  # the claim `sid`
    Column("signed_in_at", Double, nullable=False),
    Column("id_token_sealed", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Index("auth_federated_sign_in_session", "provider", "provider_session"),
)

assertion = Table(  # JWTs that work once: client assertions and exchanged id_tokens
    "auth_assertion",
    metadata,
    Column("assertion_hash", Text, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

signing_key = Table(
    "auth_signing_key",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("public_json", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("retired_at", Double),
)
