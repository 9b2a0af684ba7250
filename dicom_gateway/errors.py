"""The errors of the gateway: one tree, mapped to DIMSE statuses and to HTTP in one place each."""


class GatewayError(Exception):
    """Anything that the gateway itself refuses or cannot do; the message holds no patient data."""


class IngestError(GatewayError):
    """An instance that cannot be kept; serves C-STORE (PS3.4 Table B.2-1) and STOW-RS (PS3.18 I.2.2) alike.

    `remedy`: what the sender can do.
    """

    status = 0x0110
    remedy = ""


class OutOfResources(IngestError):
    """The disk is full or read-only: refused, the peer may try again."""

    status = 0xA700
    remedy = "send it again later"


class DataSetMismatch(IngestError):
    """The data set's SOP Class or SOP Instance UID is not the one that was announced."""

    status = 0xA900
    remedy = "send what it says"


class CannotUnderstand(IngestError):
    """The data set does not decode, or lacks a UID without which it belongs nowhere."""

    status = 0xC000
    remedy = "export it anew"


class NotFound(GatewayError):
    """No such study, instance, peer or retrieval (or none that the caller may know of)."""


class QueryRefused(GatewayError):
    """A query that matches no supported information model.  PS3.4 C.4.1.1.4, status A900"""


class PeerError(GatewayError):
    """A peer did not do what was asked; `cause` is a word of `status.Cause`, the text says it in a sentence."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(detail or cause)
        self.cause = cause
        self.detail = detail
