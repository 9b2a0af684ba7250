"""Discovery documents.  SMART App Launch 2.2 conformance.html, OpenID Connect Discovery 3, RFC 8414"""

from typing import Any

from fhir_server.auth import clients, exchange, signing
from fhir_server.auth.server import issuer
from fhir_server.scopes import ADMINISTRATION, CONTEXT_SCOPES
from fhir_server.settings import Settings

CAPABILITIES = [
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
]
GRANT_TYPES = ["authorization_code", "refresh_token", "client_credentials", exchange.GRANT_TYPE]
CLAIMS = ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "fhirUser", "profile"]
SCOPES = [*sorted(CONTEXT_SCOPES), ADMINISTRATION, "patient/*.cruds", "user/*.cruds", "system/*.cruds"]


def smart_configuration(settings: Settings) -> dict[str, Any]:
    """Write `.well-known/smart-configuration`; `signing_endpoint` is a member of our own (docs/signature.md)."""
    own = {"signing_endpoint": f"{issuer(settings)}/oauth/signing"} if settings.signing_proof else {}
    return _common(settings) | {"capabilities": CAPABILITIES} | own


def openid_configuration(settings: Settings) -> dict[str, Any]:
    """Write `.well-known/openid-configuration`."""
    return _common(settings) | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [signing.ALGORITHM],
        "claims_supported": CLAIMS,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _common(settings: Settings) -> dict[str, Any]:
    base = issuer(settings)
    methods = ["private_key_jwt", "client_secret_basic"]
    algorithms = sorted(clients.ALGORITHMS)
    return {
        "issuer": base,
        "jwks_uri": f"{base}/oauth/jwks",
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint": f"{base}/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": f"{base}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "grant_types_supported": GRANT_TYPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": SCOPES,
        "authorization_response_iss_parameter_supported": True,
    }
