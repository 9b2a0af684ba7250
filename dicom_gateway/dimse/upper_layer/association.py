"""One accepted association: C-ECHO and C-STORE on the thread of its connection.  PS3.8 9.2, PS3.7 9.1"""

import logging
import struct
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from dicom_gateway.dimse.upper_layer import pdu
from dicom_gateway.dimse.upper_layer.command import (
    C_ECHO_RQ,
    C_STORE_RQ,
    UNRECOGNIZED_OPERATION,
    Command,
    InvalidCommand,
    decode,
    response,
)
from dicom_gateway.dimse.upper_layer.connection import Closed, Connection
from dicom_gateway.dimse.upper_layer.negotiation import VERIFICATION
from dicom_gateway.dimse.upper_layer.pdu import Malformed, Negotiated
from dicom_gateway.status import PROCESSING_FAILURE, SOP_CLASS_NOT_SUPPORTED, SUCCESS

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 300.0
# A PDU that has begun must come at 1 kB/s at least, and within half a minute besides.
GRACE_SECONDS, BYTES_PER_SECOND = 30.0, 1000
COMMAND_BYTES: Final = 64 << 10
LONGEST_PDU: Final = 1 << 27
PDV: Final = struct.Struct(">IBB")
IS_COMMAND, IS_LAST = 0x01, 0x02


class Arriving(Protocol):
    """A data set on its way in."""

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes; an error is told at the end."""

    def keep(self) -> tuple[int, str]:
        """Everything has come: make it durable, then say the status and a comment.  PS3.4 B.2.3"""

    def drop(self) -> None:
        """It will not come to an end: forget it."""


Begin = Callable[[Command, str], Arriving]


class Association:
    """Serves requests until release, abort or an end of the connection.

    `begin` takes a C-STORE request and the transfer syntax of its context and says where the data set goes.
    """

    def __init__(self, connection: Connection, contexts: list[Negotiated], maximum_length: int, begin: Begin) -> None:
        self._connection = connection
        self._contexts: Mapping[int, Negotiated] = {item.context_id: item for item in contexts if item.result == 0}
        self._maximum_length = maximum_length
        self._begin = begin
        self._encoded = b""
        self._request: Command | None = None
        self._context_id = 0
        self._arriving: Arriving | None = None
        self.ending = False

    def serve(self) -> None:
        """Serve to the end.  Raises Closed when the connection ends without release or abort."""
        try:
            while self._pdu():
                if self.ending:
                    raise Closed("we are ending")
        except Malformed as error:
            self._connection.send(pdu.abort(pdu.BY_PROVIDER, error.reason))
        except Closed:
            if not self.ending:
                raise
            self._connection.send(pdu.abort(pdu.BY_USER, 0))
        finally:
            if self._arriving is not None:
                self._arriving.drop()

    def _pdu(self) -> bool:
        """Take one PDU; tell whether there may be another."""
        connection = self._connection
        connection.wait_at_most(IDLE_SECONDS)
        kind, length = pdu.HEADER.unpack(connection.read(pdu.HEADER.size))
        if length > LONGEST_PDU:
            raise Malformed(pdu.INVALID_PARAMETER)
        if kind == pdu.P_DATA:
            connection.wait_at_most(IDLE_SECONDS, GRACE_SECONDS + length / BYTES_PER_SECOND)
            self._data(length)
            return True
        return self._control(kind, length)

    def _control(self, kind: int, length: int) -> bool:
        if kind == pdu.ABORT:
            return False
        if kind == pdu.RELEASE_RQ:
            self._connection.read(min(length, 4))
            self._connection.send(pdu.RELEASED)
            return False
        raise Malformed(pdu.UNEXPECTED_PDU if pdu.ASSOCIATE_RQ <= kind <= pdu.ABORT else pdu.UNRECOGNIZED_PDU)

    def _data(self, length: int) -> None:
        """Take the presentation data values of one P-DATA-TF.  PS3.8 9.3.5.1"""
        while length:
            if length < PDV.size:
                raise Malformed(pdu.INVALID_PARAMETER)
            size, context_id, control = PDV.unpack(self._connection.read(PDV.size))
            length -= size + 4
            if size < 2 or length < 0 or context_id not in self._contexts:
                raise Malformed(pdu.INVALID_PARAMETER)
            if control & IS_COMMAND:
                self._command(context_id, size - 2, bool(control & IS_LAST))
            else:
                self._fragment(context_id, size - 2, bool(control & IS_LAST))

    def _command(self, context_id: int, size: int, last: bool) -> None:
        """Take a fragment of a command set; none may come before the former message is whole.  PS3.8 Annex E"""
        mixed = self._encoded and context_id != self._context_id
        if self._request is not None or mixed or len(self._encoded) + size > COMMAND_BYTES:
            raise Malformed(pdu.INVALID_PARAMETER)
        self._encoded += self._connection.read(size)
        self._context_id = context_id
        if not last:
            return
        try:
            request = decode(self._encoded)
        except InvalidCommand as error:
            raise Malformed(pdu.INVALID_PARAMETER) from error
        self._encoded = b""
        if not request.has_data_set:
            self._answer_at_once(request)
            return
        self._request = request
        context = self._contexts[context_id]
        if request.field == C_STORE_RQ and context.abstract_syntax != VERIFICATION:
            self._arriving = self._begin(request, context.transfer_syntax)

    def _fragment(self, context_id: int, size: int, last: bool) -> None:
        """Take a fragment of a data set, as it comes, without holding it."""
        if self._request is None or context_id != self._context_id:
            raise Malformed(pdu.INVALID_PARAMETER)
        arriving, connection = self._arriving, self._connection
        while size:
            chunk = connection.some(size)
            size -= len(chunk)
            if arriving is not None:
                arriving.write(chunk)
        if last:
            self._whole(self._request)

    def _whole(self, request: Command) -> None:
        arriving, self._arriving, self._request = self._arriving, None, None
        if arriving is not None:
            self._answer(request, *arriving.keep())
        elif request.field == C_STORE_RQ:
            self._answer(request, SOP_CLASS_NOT_SUPPORTED, "this presentation context is for C-ECHO")
        else:
            self._refuse(request)

    def _answer_at_once(self, request: Command) -> None:
        if request.field == C_ECHO_RQ:
            self._answer(request, SUCCESS, "")
        elif request.field == C_STORE_RQ:
            self._answer(request, PROCESSING_FAILURE, "no data set")
        else:
            self._refuse(request)

    def _refuse(self, request: Command) -> None:
        if request.is_request:
            self._answer(request, UNRECOGNIZED_OPERATION, "only C-STORE and C-ECHO were negotiated")

    def _answer(self, request: Command, status: int, comment: str) -> None:
        encoded = response(request, status, comment)
        self._connection.send(pdu.data(self._context_id, encoded, self._maximum_length))
