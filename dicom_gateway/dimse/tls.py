"""TLS under an association, as acceptor and as requestor, with certificates on both sides.  PS3.15 B.12

BCP 195 as of RFC 8996 and RFC 9325: TLS 1.2 and 1.3, forward secrecy and authenticated encryption alone.
"""

import hashlib
import socket
from pathlib import Path
from ssl import CERT_REQUIRED, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, SSLContext, SSLSocket, TLSVersion
from typing import Any, Final

from dicom_gateway.peers import Tls

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of TLS 1.3 are all fit (RFC 9325 4.2, 4.3)


class _Handshake(SSLSocket):
    """Remembers with its context whether a handshake came about."""

    context: Any

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands.  Raises OSError."""
        self.context.shaken = False
        super().do_handshake(block)
        self.context.shaken = True


def acceptor_context(certificate_file: Path, key_file: Path, ca_file: Path) -> SSLContext:
    """Make the context of the listener: whoever calls shows a certificate.  Raises OSError, SSLError."""
    context = _context(PROTOCOL_TLS_SERVER, str(ca_file))
    context.load_cert_chain(certificate_file, key_file)
    return context


def requestor_context(tls: Tls) -> SSLContext:
    """Make the context of calls to a peer.  A certificate that is bound by name need not name the host.

    Raises OSError, SSLError.
    """
    context = _context(PROTOCOL_TLS_CLIENT, tls.ca_file)
    context.check_hostname = not tls.certificates
    context.sslsocket_class = _Handshake
    if tls.certificate_file:
        context.load_cert_chain(tls.certificate_file, tls.key_file or None)
    return context


def _context(protocol: int, ca_file: str) -> SSLContext:
    context = SSLContext(protocol)
    context.minimum_version = TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.verify_mode = CERT_REQUIRED
    context.load_verify_locations(ca_file)
    return context


def shaken(context: SSLContext) -> bool:
    """Whether the last handshake of a requestor's context did not fail."""
    return bool(getattr(context, "shaken", True))


def shown(connected: socket.socket | None) -> frozenset[str] | None:
    """What the other side's verified certificate may be known by, None without TLS.

    That is its SHA-256 in hexadecimal digits, its DNS names and its common name.
    """
    if not isinstance(connected, SSLSocket):
        return None
    encoded: bytes = connected.getpeercert(binary_form=True) or b""
    decoded: Any = connected.getpeercert() or {}
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind == "DNS"]
    names += [value for part in decoded.get("subject", ()) for kind, value in part if kind == "commonName"]
    return frozenset((hashlib.sha256(encoded).hexdigest(), *(name.lower() for name in names)))
