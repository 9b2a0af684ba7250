"""Bytes that nobody should send: no crash, no hang, nothing left open; what is plain is read as by pydicom."""

import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_gateway.attributes import read_identity, text
from dicom_gateway.dimse.upper_layer.command import Command, InvalidCommand, decode, response
from dicom_gateway.dimse.upper_layer.pdu import HEADER, Malformed, Proposed, data, read_request
from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.identity import KEYWORDS, Identity, identify
from dicom_gateway.part10 import read_meta
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.objects import data_sets_of_pydicom, file_of, slice_of
from tests.dicom_gateway.raw_peer import CONTEXTS, ECHO, RELEASE, RawPeer, command, elements, request, store

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LITTLE = "1.2.840.10008.1.2.1"
HANG_SECONDS = 10.0
INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x06", b"\x7f\xff\xff\xff")


@given(st.binary(max_size=200))
def test_a_request_is_read_or_malformed(body: bytes) -> None:
    try:
        read_request(body)
    except Malformed as error:
        assert error.reason == 6


@given(st.data())
def test_a_mutated_request_is_read_or_malformed(choices: st.DataObject) -> None:
    whole = bytearray(request()[HEADER.size :])
    for _ in range(choices.draw(st.integers(1, 4))):
        whole[choices.draw(st.integers(0, len(whole) - 1))] = choices.draw(st.integers(0, 255))
    try:
        found = read_request(bytes(whole[: choices.draw(st.integers(60, len(whole)))]))
    except Malformed:
        return
    assert all(isinstance(context, Proposed) for context in found.contexts)


def test_a_request_is_read_as_it_was_made() -> None:
    found = read_request(request()[HEADER.size :])
    assert (found.calling, found.called, found.maximum_length) == ("SENDER", "KONSIL", 16384)
    assert [(each.context_id, each.abstract_syntax, each.transfer_syntaxes) for each in found.contexts] == [*CONTEXTS]


@given(st.one_of(st.binary(max_size=120), st.binary(max_size=60).map(lambda tail: command(1) + tail)))
def test_a_command_set_is_read_or_invalid(encoded: bytes) -> None:
    try:
        decode(encoded)
    except InvalidCommand:
        return


ROOMS = st.sampled_from((0, 7, 40, 300))
UIDS = st.text("0123456789.", max_size=64)


@settings(max_examples=50)
@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), UIDS, UIDS, st.text(max_size=100), ROOMS)
def test_an_answer_says_what_it_should(number: int, status: int, one: str, two: str, comment: str, room: int) -> None:
    asked = Command(1, number, False, one, two)
    encoded = response(asked, status, comment)
    found = elements(encoded)
    assert struct.unpack("<I", found[0])[0] == len(encoded) - 12
    assert struct.unpack("<HH", found[0x0120] + found[0x0900]) == (number, status)
    assert len(found.get(0x0902, b"")) <= 64
    joined, sent = b"", data(1, encoded, room)
    while sent:
        size, inner = struct.unpack_from(">2xII", sent)
        assert not room or size <= max(room, 7)
        joined += sent[12 : 8 + inner + 2]
        sent = sent[6 + size :]
    assert joined == encoded


def slowly(content: bytes, syntax: str) -> Identity | None:
    """What pydicom reads."""
    try:
        ds = read_identity(content, syntax)
    except CannotUnderstand:
        return None
    return Identity(*(text(ds, keyword) for keyword in KEYWORDS))


def quickly(content: bytes, syntax: str) -> Identity | None:
    try:
        return identify(content, syntax)
    except CannotUnderstand:
        return None


def test_the_identity_of_every_file_is_what_pydicom_reads() -> None:
    compared = 0
    for name, content, syntax in data_sets_of_pydicom():
        assert quickly(content, syntax) == slowly(content, syntax), name
        compared += 1
    assert compared > 60


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_the_identity_of_a_damaged_data_set_is_what_pydicom_reads(seed: int) -> None:
    rng = random.Random(seed)
    content = mutated(rng, CONTENT[:600])
    assert quickly(content, LITTLE) == slowly(content, LITTLE)


FILE = file_of(slice_of("1.2.3", "1.2.3.4", 1, uid="1.2.3.4.5", side=8))
CONTENT = FILE[read_meta(FILE).offset :]
DIALOGUE = request() + ECHO + store("1.2.3.4.5", CONTENT, size=100) + ECHO + RELEASE


def mutated(rng: random.Random, whole: bytes) -> bytes:
    """One to four changes: bytes overwritten, removed, doubled, moved, the end cut off."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(content))
        length = rng.choice((1, 2, 4, 6, 50))
        change = rng.randrange(5)
        if change == 0:
            content[start : start + 1] = bytes((rng.randrange(256),))
        elif change == 1:
            value = rng.choice(INTERESTING)
            content[start : start + len(value)] = value
        elif change == 2:
            del content[start : start + length]
        elif change == 3:
            content[start:start] = content[start : start + length]
        else:
            del content[max(start, 1) :]
        content = content or bytearray(b"\0")
    return bytes(content)


@pytest.mark.parametrize("rounds", [120, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])])
def test_damaged_dialogues_end_and_leave_nothing_behind(make_gateway: MakeGateway, rounds: int) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="SENDER")
    with listening(gateway) as listener:
        for seed in range(rounds):
            sent = mutated(random.Random(seed), DIALOGUE)
            with RawPeer(listener.port, HANG_SECONDS) as peer:
                try:
                    peer.socket.sendall(sent)
                    peer.socket.shutdown(1)
                except OSError:
                    pass  # it has been aborted already
                while peer.answer()[0]:
                    pass
        end = time.monotonic() + HANG_SECONDS
        while listener._door._open and time.monotonic() < end:
            time.sleep(0.01)
        assert not listener._door._open and not listener._associations
        with RawPeer(listener.port) as peer:
            assert peer.associate().status(ECHO) == (0, "")
    assert list((gateway.archive.root / "incoming").iterdir()) == []
