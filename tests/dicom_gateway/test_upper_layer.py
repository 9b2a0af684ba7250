"""Our own upper layer, byte by byte: negotiation, statuses, fragments, aborts, and peers that behave badly."""

import contextlib
import os
import resource
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dicom_gateway import reception, scp
from dicom_gateway.archive import Writing
from dicom_gateway.dimse.upper_layer import association
from dicom_gateway.gateway import Gateway
from dicom_gateway.index import models
from dicom_gateway.index.models import instance
from dicom_gateway.index.query import Place, locate
from dicom_gateway.part10 import read_meta
from dicom_gateway.scp import Listener
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening, opened
from tests.dicom_gateway.objects import file_of, slice_of
from tests.dicom_gateway.raw_peer import (
    ABORT,
    AC,
    CT,
    DATA,
    ECHO,
    EXPLICIT,
    IMPLICIT,
    RELEASE,
    RELEASED,
    RJ,
    VERIFICATION,
    RawPeer,
    command,
    item,
    pdu,
    pdv,
    request,
    store,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

PRIVATE, STUDY_ROOT_FIND = "1.2.826.0.1.3680043.9.7", "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    made = make_gateway(mode="gateway")
    know(made, name="sender", ae_title="SENDER")
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """One listener for everything that stores nothing."""
    with opened(tmp_path_factory.mktemp("shared")) as made:
        know(made, name="sender", ae_title="SENDER")
        with listening(made) as listener:
            yield listener


@pytest.fixture
def listener(gateway: Gateway) -> Iterator[Listener]:
    with listening(gateway) as made:
        yield made


def data_set(number: int = 1, **attributes: object) -> tuple[str, bytes]:
    """The UID and the bytes of a CT slice."""
    file = file_of(slice_of("1.2.3", "1.2.3.4", number, **attributes))  # type: ignore[arg-type]
    meta = read_meta(file)
    return meta.sop_instance_uid, file[meta.offset :]


def kept(gateway: Gateway) -> int:
    gateway.ingest.replay()
    with reader(gateway.engine).connect() as connection:
        return connection.execute(select(func.count()).select_from(instance)).scalar_one()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.01)


@pytest.mark.spec("PS3.8 9.3.3")
def test_contexts_roles_and_extended_negotiation_are_answered(shared: Listener) -> None:
    uid = CT.encode()
    role = item(0x54, struct.pack(">H", len(uid)) + uid + b"\1\1")
    extended = item(0x56, struct.pack(">H", len(uid)) + uid + bytes(6))
    asked = ((1, VERIFICATION, ("1.9.9", IMPLICIT)), (3, CT, (PRIVATE, EXPLICIT)), (5, PRIVATE, (EXPLICIT,)),
             (7, STUDY_ROOT_FIND, (IMPLICIT,)), (9, VERIFICATION, ("1.9.9",)))  # fmt: skip
    with RawPeer(shared.port) as peer:
        kind, body = peer.ask(request(asked, user=role + extended))
        assert kind == AC
        assert peer.ask(RELEASE)[0] == RELEASED
        assert peer.answer() == (0, b"")
    assert body[4:68] == b"KONSIL          SENDER          " + bytes(32), "titles go back as they came"
    results = {number: (result, syntax) for number, result, syntax in contexts_of(body)}
    assert results == {1: (0, IMPLICIT), 3: (0, PRIVATE), 5: (0, EXPLICIT), 7: (3, IMPLICIT), 9: (4, "1.9.9")}
    assert role in body
    assert item(0x56, struct.pack(">H", len(uid)) + uid + bytes((2, 0, 3, 0, 1, 0))) in body


def contexts_of(body: bytes) -> Iterator[tuple[int, int, str]]:
    """The results of an A-ASSOCIATE-AC."""
    position = 68
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        value = body[position + 4 : position + 4 + length]
        if kind == 0x21:
            yield value[0], value[2], value[8:].decode()
        position += 4 + length


@pytest.mark.spec("PS3.8 9.3.4")
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (request(calling="OTHER"), (1, 1, 3)),
        (request(called="OTHER"), (1, 1, 7)),
        (request(version=2), (1, 2, 2)),
        (request(application="1.2.3"), (1, 1, 2)),
    ],
    ids=["calling", "called", "version", "application context"],
)
def test_rejections(shared: Listener, sent: bytes, reason: tuple[int, int, int]) -> None:
    with RawPeer(shared.port) as peer:
        assert peer.ask(sent) == (RJ, bytes((0, *reason)))
        assert peer.answer() == (0, b"")


def test_more_associations_than_allowed_are_rejected_for_now(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(maximum_associations=1)
    know(gateway, name="sender", ae_title="SENDER")
    with listening(gateway) as listener, RawPeer(listener.port) as first:
        first.associate()
        with RawPeer(listener.port) as second:
            assert second.ask(request()) == (RJ, bytes((0, 2, 3, 2)))
        assert first.ask(RELEASE)[0] == RELEASED
        until(lambda: not listener._associations)
        with RawPeer(listener.port) as third:
            third.associate()


@pytest.mark.spec("PS3.8 9.3.4")
def test_one_peer_has_no_more_associations_than_its_settings_let_it(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="SENDER", associations_at_once=1)
    know(gateway, name="other", ae_title="OTHER")
    with listening(gateway) as listener, RawPeer(listener.port) as first, RawPeer(listener.port) as other:
        first.associate()
        with RawPeer(listener.port) as second:
            assert second.ask(request()) == (RJ, bytes((0, 2, 3, 2)))
        assert other.ask(request(calling="OTHER"))[0] == AC
        assert first.ask(RELEASE)[0] == RELEASED
        until(lambda: "sender" not in listener._associations.values())
        with RawPeer(listener.port) as third:
            third.associate()


@pytest.mark.spec("PS3.8 9.3.4")
def test_one_peer_begins_no_more_often_than_its_settings_let_it(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="SENDER", associations_per_minute=2)
    know(gateway, name="other", ae_title="OTHER")
    with listening(gateway) as listener:
        for _ in range(2):
            with RawPeer(listener.port) as peer:
                peer.associate()
        with RawPeer(listener.port) as peer:
            assert peer.ask(request()) == (RJ, bytes((0, 2, 3, 1)))
        with RawPeer(listener.port) as other:
            assert other.ask(request(calling="OTHER"))[0] == AC
    with gateway.engine.connect() as connection:
        outcomes = connection.execute(select(models.association.c.peer, models.association.c.outcome)).all()
    assert [tuple(each) for each in outcomes].count(("sender", "too-often")) == 1


@pytest.mark.spec("PS3.7 9.1.1, 9.1.5, Annex C")
def test_statuses_and_their_comments(listener: Listener, gateway: Gateway) -> None:
    uid, content = data_set()
    with RawPeer(listener.port) as peer:
        peer.associate()
        assert peer.status(ECHO) == (0, "")
        assert peer.status(store(uid, content)) == (0, "")
        assert peer.status(store(uid, content)) == (0, "")
        assert peer.status(store("1.9", content)) == (
            0xA900,
            "the data set has another SOP Instance UID: send what it says",
        )
        assert peer.status(store(uid, b"\x08\x00nonsense" * 20))[0] == 0xC000
        assert peer.status(pdu(DATA, pdv(3, 3, command(1, sop_class=CT, instance=uid)))) == (0x0110, "no data set")
        on_echo = pdv(1, 3, command(1, data=True, sop_class=CT, instance=uid)) + pdv(1, 2, content)
        assert peer.status(pdu(DATA, on_echo))[0] == 0x0122
        create = pdv(3, 3, command(0x0140, data=True, sop_class=CT)) + pdv(3, 2, content)
        assert peer.status(pdu(DATA, create))[0] == 0x0211
        cancel = pdu(DATA, pdv(3, 3, command(0x0FFF)))
        assert peer.status(cancel + ECHO) == (0, ""), "a C-CANCEL has no answer"
    assert kept(gateway) == 1


@pytest.mark.spec("PS3.8 Annex E")
def test_fragments_of_every_size(listener: Listener, gateway: Gateway) -> None:
    uids, whole = [], b""
    for number, size in enumerate((1, 7, 1000, 70_000), 1):
        uid, content = data_set(number, side=8 if size == 1 else 64)
        uids.append(uid)
        whole += store(uid, content, number, size)
    uid, content = data_set(9)
    asked = command(1, 9, data=True, sop_class=CT, instance=uid)
    pieces = b"".join(pdv(3, 1, bytes((byte,))) for byte in asked[:-1]) + pdv(3, 3, asked[-1:])
    whole += pdu(DATA, pieces + pdv(3, 0, content[:5000]) + pdv(3, 0, b"") + pdv(3, 2, content[5000:]))
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.socket.sendall(whole)
        for _ in range(5):
            assert peer.status(b"") == (0, "")
    assert kept(gateway) == 5
    with reader(gateway.engine).connect() as connection:
        found = {row.sop_instance_uid: row for row in locate(connection, Place(), ("quarantined",))}
    assert gateway.archive.path(found[uid].object_key).read_bytes().endswith(content)


ASKED = pdv(3, 3, command(1, data=True, sop_class=CT, instance="1.2"))
BROKEN = {
    "an unknown PDU": (pdu(9, b"1234"), 1),
    "a second request": (request(), 2),
    "an answer": (pdu(RELEASED, bytes(4)), 2),
    "a PDU that is too long": (struct.pack(">BxI", 4, 1 << 31), 6),
    "no room for a header": (pdu(DATA, b"123"), 6),
    "a value that is longer than its PDU": (pdu(DATA, struct.pack(">IBB", 999, 1, 3)), 6),
    "a value without a header": (pdu(DATA, struct.pack(">IBB", 1, 1, 3)), 6),
    "a context that was not accepted": (pdu(DATA, pdv(99, 3, command(0x30))), 6),
    "data without a command": (pdu(DATA, pdv(3, 2, b"12")), 6),
    "a command within data": (pdu(DATA, ASKED + pdv(3, 0, b"12") + pdv(3, 3, command(0x30))), 6),
    "data of another context": (pdu(DATA, ASKED + pdv(1, 0, b"12")), 6),
    "a command that goes on elsewhere": (pdu(DATA, pdv(3, 1, b"12") + pdv(1, 3, b"12")), 6),
    "no command set": (pdu(DATA, pdv(3, 3, b"not a command set")), 6),
    "a command without a command": (pdu(DATA, pdv(3, 3, b"")), 6),
    "a command set without end": (pdu(DATA, pdv(3, 1, bytes(60_000)) * 2), 6),
}


@pytest.mark.spec("PS3.8 9.2, 9.3.8")
@pytest.mark.parametrize("name", [*BROKEN])
def test_what_is_out_of_order_is_aborted(shared: Listener, name: str) -> None:
    sent, reason = BROKEN[name]
    with RawPeer(shared.port) as peer:
        peer.associate()
        assert peer.ask(sent) == (ABORT, bytes((0, 0, 2, reason)))
    until(lambda: not shared._associations)


def test_no_association_without_a_request(shared: Listener) -> None:
    for sent, reason in ((ECHO, 2), (b"GET / HTTP/1.1\r\n\r\n", 1), (struct.pack(">BxI", 1, 1 << 24), 6)):
        with RawPeer(shared.port) as peer:
            assert peer.ask(sent) == (ABORT, bytes((0, 0, 2, reason)))


def test_slow_silent_and_vanished_peers_are_left_and_keep_nobody_waiting(
    listener: Listener, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scp, "REQUEST_SECONDS", 0.4)
    monkeypatch.setattr(association, "IDLE_SECONDS", 0.4)
    uid, content = data_set()
    with RawPeer(listener.port) as dripping, RawPeer(listener.port) as silent, RawPeer(listener.port) as gone:
        silent.associate()
        gone.associate().socket.sendall(store(uid, content)[:5000])
        sent = request()
        with contextlib.suppress(ConnectionError):
            for position in range(200):
                dripping.socket.sendall(sent[position : position + 1])
                time.sleep(0.01)
        with RawPeer(listener.port) as quick:
            assert quick.associate().status(ECHO) == (0, "")
        for peer in (dripping, silent, gone):
            assert peer.answer() == (0, b"")
    until(lambda: not listener._door._open)
    assert kept(gateway) == 0
    assert list((gateway.archive.root / "incoming").iterdir()) == []


def test_a_pdu_that_comes_too_slowly_ends_the_association(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "GRACE_SECONDS", 0.2)
    with RawPeer(listener.port) as peer:
        peer.associate()
        with contextlib.suppress(ConnectionError):
            for byte in ECHO:
                peer.socket.sendall(bytes((byte,)))
                time.sleep(0.01)
        assert peer.answer() == (0, b"")


def test_a_hundred_associations_at_once_past_file_descriptor_1023(gateway: Gateway) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        listener = stack.enter_context(listening(gateway))
        spent = [os.dup(0) for _ in range(1024)]
        for descriptor in spent:
            stack.callback(os.close, descriptor)
        peers = [stack.enter_context(RawPeer(listener.port, 60)) for _ in range(100)]
        for peer in peers:
            peer.socket.sendall(request())
        for peer in peers:
            assert peer.answer()[0] == AC
        for number, peer in enumerate(peers):
            peer.socket.sendall(store(*data_set(number, side=8)))
        assert [peer.status(b"") for peer in peers] == [(0, "")] * 100
    assert kept(gateway) == 100


def test_stopping_aborts_associations_and_leaves_no_thread(gateway: Gateway) -> None:
    uid, content = data_set(side=128)
    before = set(threading.enumerate())
    with listening(gateway) as listener:
        peer, halfway = RawPeer(listener.port), RawPeer(listener.port)
        peer.associate()
        halfway.associate().socket.sendall(store(uid, content)[:9000])
        assert peer.status(ECHO) == (0, "")
    with peer, halfway:
        for each in (peer, halfway):
            assert each.answer() == (ABORT, bytes((0, 0, 0, 0)))
    until(lambda: not [thread for thread in {*threading.enumerate()} - before if thread.name.startswith("dimse")])


@pytest.mark.spec("PS3.4 B.2.2")
def test_a_large_object_is_written_as_it_comes(
    listener: Listener, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "LARGE_BYTES", 10_000)
    incoming = gateway.archive.root / "incoming"
    uid, content = data_set(side=400)
    sent = store(uid, content)
    with RawPeer(listener.port) as peer:
        peer.associate().socket.sendall(sent[:200_000])
        until(lambda: [path for path in incoming.iterdir() if path.stat().st_size > 100_000])
        assert peer.status(sent[200_000:]) == (0, "")
        assert peer.status(store("1.9", content, 2))[0] == 0xA900
        peer.socket.sendall(sent[:200_000])
    until(lambda: not listener._associations)
    assert kept(gateway) == 1
    with reader(gateway.engine).connect() as connection:
        (found,) = locate(connection, Place(), ("quarantined",))
    assert gateway.archive.path(found.object_key).read_bytes()[found.data_set_offset :] == content
    assert list(incoming.iterdir()) == []


def test_a_disk_that_fills_up_is_out_of_resources(
    listener: Listener, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Writing, chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reception, "LARGE_BYTES", 10_000)
    uid, content = data_set(side=128)
    with RawPeer(listener.port) as peer:
        peer.associate()
        with monkeypatch.context() as patched:
            patched.setattr(Writing, "write", full)
            assert peer.status(store(uid, content)) == (
                0xA700,
                "the instance could not be written: send it again later",
            )
        assert peer.status(store(uid, content)) == (0, ""), "the association goes on"
    assert list((gateway.archive.root / "incoming").iterdir()) == []
    assert kept(gateway) == 1


def test_the_archive_sweeps_what_a_killed_process_left(gateway: Gateway) -> None:
    incoming: Path = gateway.archive.root / "incoming"
    old, new = incoming / "old", incoming / "new"
    for path in (old, new):
        path.write_bytes(b"1")
    os.utime(old, (0, 0))
    gateway.archive.sweep()
    assert [path.name for path in incoming.iterdir()] == ["new"]
