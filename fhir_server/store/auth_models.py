"""Tables of the authorization server: clients, accounts, sessions, grants, keys.

Secrets (codes, tokens, handles) are kept as SHA-256 of 256 random bits, passwords as argon2id, signing keys sealed.
Times are epoch seconds; `*_json` columns and `scope` are text.
"""

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, Table, Text

from fhir_server.store.models import metadata

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
