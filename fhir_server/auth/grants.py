"""Authlib's authorization code grant with PKCE, fed with what was loaded before: it does no I/O and keeps nothing.

Only its checks run here (`validate_...`); codes and tokens are made and stored by this package in one transaction.
Authlib logs tokens at DEBUG only when it makes them itself, and refuses error texts with characters outside RFC 6749
5.2, so free text of the request is checked before it gets there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError, UnsupportedResponseTypeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import OAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge

from fhir_server.store.auth_values import Client

Parameters = Mapping[str, Sequence[str]]
"""Request parameters with all their values."""


def check_authorization(parameters: Parameters, client: Client, endpoint: str) -> str:
    """Check an authorization request and give its redirect URI.  RFC 6749 4.1.1, RFC 7636 4.3, SMART: S256 only.

    Raises OAuth2Error; its `redirect_uri` is None as long as the address itself is not proven, then nothing may be sent
    there.
    """
    redirect_uris = parameters.get("redirect_uri", ())
    if len(redirect_uris) != 1 or redirect_uris[0] not in client.redirect_uris:
        raise InvalidRequestError("redirect_uri is not one of those registered for this client")
    if list(parameters.get("response_type", ())) != ["code"]:
        error = UnsupportedResponseTypeError("other than code")
        error.redirect_uri = redirect_uris[0]
        raise error
    grant = _grant("GET", parameters, client, endpoint)
    grant.validate_no_multiple_request_parameter(grant.request)
    return grant.validate_authorization_request()


@dataclass(frozen=True, slots=True)
class Code:
    """A stored authorization code, as Authlib reads it."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        """Give the address that the code was sent to."""
        return self.redirect_uri


def check_code(parameters: Parameters, client: Client, code: Code | None, endpoint: str) -> None:
    """Check that this client may redeem this code.  RFC 6749 4.1.3, RFC 7636 4.6.  Raises OAuth2Error."""
    grant = _grant("POST", parameters, client, endpoint)
    grant.loaded_code = code
    grant.validate_token_request()


class _S256(CodeChallenge):
    """PKCE that is required of every client, with S256 alone."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        payload = grant.request.payload
        if payload is None or payload.data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge with code_challenge_method S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class _Payload(OAuth2Payload):
    def __init__(self, parameters: Parameters) -> None:
        self._lists = {name: list(values) for name, values in parameters.items()}

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._lists.items()}

    @property
    def datalist(self) -> dict[str, list[Any]]:
        return self._lists


class _Request(OAuth2Request):
    @property
    def form(self) -> dict[str, str]:
        return self.payload.data if self.payload is not None else {}


class _Client(ClientMixin):
    def __init__(self, client: Client) -> None:
        self.client = client

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.client.redirect_uris

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code" and bool(self.client.redirect_uris)

    def get_allowed_scope(self, scope: Any) -> str:
        """Nothing is refused here: `policy` narrows the scopes once the person is known."""
        return str(scope or "")


class _Server(AuthorizationServer):
    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = _Client(client)

    def query_client(self, client_id: str) -> ClientMixin:
        return self.client

    def authenticate_client(self, request: OAuth2Request, methods: Any, endpoint: str = "token") -> ClientMixin:
        """The client was authenticated before the grant runs."""
        return self.client

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""


class _CodeGrant(AuthorizationCodeGrant):
    loaded_code: Code | None = None

    def query_authorization_code(self, code: str, client: ClientMixin) -> Code | None:
        loaded = self.loaded_code
        own = loaded is not None and isinstance(client, _Client) and loaded.client_id == client.client.client_id
        return loaded if own else None


def _grant(method: str, parameters: Parameters, client: Client, endpoint: str) -> _CodeGrant:
    request = _Request(method, endpoint)
    request.payload = _Payload(parameters)
    grant = _CodeGrant(request, _Server(client))
    _S256(required=True)(grant)
    return grant
