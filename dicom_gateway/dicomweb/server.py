"""A connection to an outside archive's DICOMweb service: its origin alone, by TLS and with a token as its entry says.

PS3.18 8; OAuth 2.0 client credentials with `private_key_jwt` (RFC 6749 4.4, RFC 7523), mutual TLS (PS3.15 B.12).
"""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from dicom_gateway.dimse.association import tls_context
from dicom_gateway.dimse.tls import shown
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import DicomWeb, Peer
from dicom_gateway.status import Cause
from konsil.http_client import OriginRefused, guarded_client, origin
from konsil.oauth_client import BackendToken, ClientKey, TokenRefused

SILENCE_SECONDS: Final = 60.0
LONGEST_ANSWER: Final = 64 << 20
BUSY: Final = frozenset({429, 503})
CLOSED: Final = frozenset({401, 403})
ABSENT: Final = frozenset({404, 410})
Query = Sequence[tuple[str, str]]


@dataclass
class Server:
    """An archive that can be asked.  `refused`: whether a token was refused already, and has been renewed."""

    peer: Peer
    root: str
    client: httpx.Client
    token: BackendToken | None
    refused: bool = False

    @contextmanager
    def open(self, path: str, accept: str, query: Query = ()) -> Iterator[httpx.Response]:
        """GET below the root; the answer as it begins, whatever its status below 400 or 404.  Raises PeerError."""
        with failures(), ExitStack() as stack:
            answer = self._sent(stack, path, accept, query)
            if answer.status_code in CLOSED and self.token is not None and not self.refused:
                self.refused = True
                self.token.forget()
                answer = self._sent(stack, path, accept, query)
            self._check(answer)
            yield answer

    def _sent(self, stack: ExitStack, path: str, accept: str, query: Query) -> httpx.Response:
        headers = {"Accept": accept} | (self.token.header() if self.token is not None else {})
        address = f"{self.root}{path}"
        return stack.enter_context(self.client.stream("GET", address, params=list(query), headers=headers))

    def _check(self, answer: httpx.Response) -> None:
        """See who answers, and that it does.  Raises PeerError."""
        stream = answer.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if self.peer.tls is not None and not self.peer.shows(shown(connection)):
            raise PeerError(Cause.TLS_FAILED, "the peer shows another certificate")
        status = answer.status_code
        if status in CLOSED:
            raise PeerError(Cause.ASSOCIATION_REJECTED, f"HTTP {status}")
        if status in BUSY:
            raise PeerError(Cause.PEER_OUT_OF_RESOURCES, f"HTTP {status}")
        if status >= 400 and status not in ABSENT:
            raise PeerError(Cause.QUERY_FAILED, f"HTTP {status}")

    def read(self, path: str, accept: str, query: Query = ()) -> tuple[int, bytes]:
        """GET a short answer whole.  Raises PeerError."""
        with self.open(path, accept, query) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise PeerError(Cause.PEER_OUT_OF_RESOURCES, "the answer is too long")
            return answer.status_code, bytes(body)


@contextmanager
def connected(peer: Peer, silence_seconds: float | None = None) -> Iterator[Server]:
    """Get ready to ask a peer that has a DICOMweb root; nothing is sent yet.  Raises PeerError."""
    entry = peer.dicomweb
    if entry is None:
        raise PeerError(Cause.CONTEXTS_REFUSED, "no DICOMweb root")
    tls = _tls(peer)
    seconds = silence_seconds or SILENCE_SECONDS
    with ExitStack() as stack:
        client = stack.enter_context(guarded_client([origin(entry.root)], seconds, tls))
        token = _token(entry, stack)
        yield Server(peer, entry.root.rstrip("/"), client, token)


def _tls(peer: Peer) -> ssl.SSLContext | None:
    context = tls_context(peer)
    if context is not None:
        context.check_hostname = True
    return context


def _token(entry: DicomWeb, stack: ExitStack) -> BackendToken | None:
    if not entry.token_url:
        return None
    try:
        key: Mapping[str, object] = json.loads(Path(entry.key_file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PeerError(Cause.TLS_FAILED, "the key file cannot be read") from error
    client = stack.enter_context(guarded_client([origin(entry.token_url)]))
    return BackendToken(client, ClientKey(entry.client_id, key, entry.token_url), entry.scope)


@contextmanager
def failures() -> Iterator[None]:
    """What goes wrong on the way as causes that people know."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        secure = isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error)
        raise PeerError(Cause.TLS_FAILED if secure else Cause.PEER_DOWN) from error
    except httpx.TimeoutException as error:
        raise PeerError(Cause.NO_ANSWER) from error
    except (TokenRefused, OriginRefused) as error:
        raise PeerError(Cause.ASSOCIATION_REJECTED, type(error).__name__) from error
    except httpx.HTTPError as error:
        raise PeerError(Cause.ASSOCIATION_ABORTED, type(error).__name__) from error
