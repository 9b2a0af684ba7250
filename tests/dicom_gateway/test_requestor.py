"""Our own C-STORE as SCU: real acceptors with small PDUs, and acceptors that refuse, break off or talk nonsense."""

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import dcmread

from dicom_gateway.dimse.store import Sent, send_instances
from dicom_gateway.dimse.upper_layer.command import InvalidCommand, decode_status, store_request
from dicom_gateway.dimse.upper_layer.pdu import Malformed, Proposed, associate, read_accept, read_request
from dicom_gateway.dimse.upper_layer.requestor import PIECE_BYTES
from dicom_gateway.errors import PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.query import Place, locate
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.part10 import read_meta
from dicom_gateway.peers import by_name
from tests.dicom_gateway.conftest import MakeGateway, know
from tests.dicom_gateway.objects import file_of, slice_of
from tests.dicom_gateway.raw_peer import CT, EXPLICIT, elements, item, pdu, pdv
from tests.peers import storescp

STUDY = "1.2.3.4"
SIDES = (16, 300, 362, 512)
"""Of slices: within one piece, about one and two pieces long, and several."""


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    """Keeps a slice of each size."""
    made = make_gateway("sender", mode="archive")
    for number, side in enumerate(SIDES):
        content = file_of(slice_of(STUDY, "1.2.3.4.5", number, uid=f"1.2.3.4.5.{side}", side=side))
        made.ingest.accept(Incoming.from_file(content, Source()))
    made.ingest.replay()
    return made


def send(gateway: Gateway, port: int) -> list[Sent]:
    know(gateway, name="pacs", ae_title="RADPACS", port=port)
    with gateway.engine.connect() as connection:
        return send_instances(gateway.archive, by_name(connection, "pacs"), locate(connection, Place(STUDY)))


@pytest.mark.peer
@pytest.mark.parametrize("longest", ["4096", "16384", "131072"])
def test_every_byte_arrives_in_pdus_that_the_acceptor_takes(gateway: Gateway, tmp_path: Path, longest: str) -> None:
    options = ("+xa", "--bit-preserving", "--max-pdu", longest)
    with storescp(tmp_path / "pacs", options=options) as scp:
        assert [sent.status for sent in send(gateway, scp.port)] == [0] * len(SIDES)
        arrived = {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in scp.files()}
    with gateway.engine.connect() as connection:
        for each in locate(connection, Place(STUDY)):
            ours, theirs = gateway.archive.path(each.object_key).read_bytes(), arrived[each.sop_instance_uid]
            assert ours[read_meta(ours).offset :] == theirs[read_meta(theirs).offset :]
            assert max(SIDES) ** 2 * 2 > PIECE_BYTES


ACCEPTED = item(0x21, bytes((1, 0, 0, 0)) + item(0x40, EXPLICIT.encode()))
USER = item(0x50, item(0x51, struct.pack(">I", 16384)))


def accepted(contexts: bytes = ACCEPTED) -> bytes:
    return pdu(2, struct.pack(">HH", 1, 0) + bytes(64) + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + USER)


def answer(status: int, number: int, field: int = 0x8001) -> bytes:
    values = {0x0100: field, 0x0120: number, 0x0800: 0x0101, 0x0900: status}
    body = b"".join(struct.pack("<HHIH", 0, tag, 2, value) for tag, value in values.items())
    return pdu(4, pdv(1, 3, struct.pack("<HHII", 0, 0, 4, len(body)) + body))


@contextmanager
def acceptor(*replies: bytes) -> Iterator[int]:
    """Gives each reply when something has come, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connected, _ = server.accept()
            with connected:
                for reply in replies:
                    if not connected.recv(1 << 20):
                        return
                    connected.sendall(reply)
                connected.settimeout(0.05)
                try:
                    while connected.recv(1 << 20):
                        pass
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("reply", "cause", "detail"),
    [
        (pdu(3, bytes((0, 1, 1, 7))), "association-rejected", "Called AE title not recognised"),
        (pdu(3, bytes((0, 2, 3, 2))), "association-rejected", "Local limit exceeded"),
        (accepted(item(0x21, bytes((1, 0, 4, 0)) + item(0x40, EXPLICIT.encode()))), "contexts-refused", ""),
        (accepted(item(0x21, bytes((1, 0, 0, 0)) + item(0x40, b"1.2.840.10008.1.2"))), "contexts-refused", ""),
        (pdu(7, bytes(4)), "association-aborted", ""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "association-aborted", ""),
        (b"\x02\0\xff\xff\xff\xff", "association-aborted", ""),
        (accepted()[:40], "association-aborted", ""),
    ],
)
def test_what_does_not_come_about_is_named(gateway: Gateway, reply: bytes, cause: str, detail: str) -> None:
    with acceptor(reply) as port, pytest.raises(PeerError) as caught:
        send(gateway, port)
    assert caught.value.cause == cause
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    "nonsense",
    [pdu(7, bytes(4)), answer(0, 99), answer(0, 2, 0x8030), pdu(4, b"\0\0\0\x01"), pdu(4, pdv(1, 2, b"x")), b""],
)
def test_what_was_stored_before_it_broke_off_counts_and_the_rest_has_no_answer(
    gateway: Gateway, nonsense: bytes
) -> None:
    """The second answer is an abort, to another message, to another command, cut short, a data set, nothing."""
    with acceptor(accepted(), answer(0xB000, 1), nonsense) as port:
        sent = send(gateway, port)
    assert [each.status for each in sent] == [0xB000, None, None, None]
    assert [each.stored for each in sent] == [True, False, False, False]


def test_random_answers_end_in_an_error_or_no_answer(gateway: Gateway) -> None:
    chance = random.Random(4)
    for _ in range(40):
        replies = [accepted(), answer(0, 1), answer(0, 2), answer(0, 3), answer(0, 4)]
        spoiled = chance.randrange(len(replies))
        bytes_ = bytearray(replies[spoiled])
        for _ in range(chance.randrange(1, 4)):
            bytes_[chance.randrange(2, len(bytes_))] = chance.randrange(256)
        replies[spoiled] = bytes(bytes_[: chance.randrange(1, len(bytes_) + 1)])
        with acceptor(*replies[: spoiled + 1]) as port:
            try:
                sent = send(gateway, port)
            except PeerError:
                continue
        assert len(sent) == len(SIDES)
        assert sum(each.stored for each in sent) <= spoiled + 1


def read_or_refused(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except (Malformed, InvalidCommand):
        return


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refused(read_accept, data)
    read_or_refused(read_accept, bytes(68) + data)
    read_or_refused(decode_status, data)


def test_a_request_says_what_it_should() -> None:
    proposed = [Proposed(1, CT, (EXPLICIT,)), Proposed(255, "1.2.3", ("1.2.4", "1.2.5"))]
    found = read_request(associate("THEIRS", "AN_AE_TITLE_OF_16", proposed, 4096)[6:])
    assert (found.called, found.calling, found.maximum_length) == ("THEIRS", "AN_AE_TITLE_OF_1", 4096)
    assert found.contexts == proposed
    said = elements(store_request(7, (CT, "1.2.3"), ("MOVER", 9)))
    assert (said[0x0110], said[0x1030], said[0x1031]) == (b"\x07\0", b"MOVER ", b"\x09\0")
    assert (said[0x0002].rstrip(b"\0"), said[0x1000]) == (CT.encode(), b"1.2.3\0")
