"""What goes wrong around a receiver: no database, a clock that jumps, a sender that repeats, a hundred at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.index.models import instance, version
from dicom_gateway.ingest import Incoming, Source
from tests.dicom_gateway.conftest import MakeGateway, know, listening, opened
from tests.dicom_gateway.objects import file_of, slice_of
from tests.dicom_gateway.raw_peer import RawPeer, store
from tests.dicom_gateway.test_ingest import put, rows
from tests.dicom_gateway.test_upper_layer import data_set


def test_without_a_database_what_comes_is_promised_and_indexed_when_it_is_back(
    postgresql_url: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "gateway", mode="archive", database_url=postgresql_url) as gateway:
        server, name = gateway.engine.url.set(database="postgres"), gateway.engine.url.database
        admin = create_engine(server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(ended), {"name": name})
            with pytest.raises(SQLAlchemyError):
                put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
            gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 2)), Source()))
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        admin.dispose()
        gateway.engine.dispose()
        gateway.ingest.replay()
        assert rows(gateway, instance) == 2


def test_a_clock_that_jumps_back_and_a_sender_that_repeats_everything_double_and_lose_nothing(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(mode="archive")
    files = [file_of(slice_of("1.2.3", "1.2.3.4", number)) for number in (1, 2, 3)]
    real, real_ns = time.time, time.time_ns
    for days in (0, -30, 3650, -1):
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda days=days: real() + days * 86_400)
            patched.setattr(time, "time_ns", lambda days=days: real_ns() + days * 86_400 * 10**9)
            for file in files * 3:
                gateway.ingest.accept(Incoming.from_file(file, Source()))
            gateway.ingest.close()  # the next segment's name comes from the clock
            gateway.ingest.replay()
    assert (rows(gateway, instance), rows(gateway, version)) == (3, 3)
    assert len(list((gateway.archive.root / "objects").glob("*/*"))) == 3


def test_huge_private_sequences_are_kept_byte_for_byte_and_not_indexed(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    ds = slice_of("1.2.3", "1.2.3.4", 1)
    block = ds.private_block(0x0099, "KONSIL TEST", create=True)
    items = []
    for number in range(20_000):
        entry = Dataset()
        entry.SeriesDescription = f"item {number}"
        items.append(entry)
    block.add_new(0x01, "SQ", Sequence(items))
    file = file_of(ds)
    started = time.monotonic()
    put(gateway, file)
    assert time.monotonic() - started < 5
    (path,) = (gateway.archive.root / "objects").glob("*/*.dcm")
    assert path.read_bytes() == file and rows(gateway, instance) == 1


def test_a_hundred_associations_at_once_are_all_served(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    know(gateway, name="sender", ae_title="SENDER")
    with listening(gateway) as listener:
        peers = [RawPeer(listener.port, 30) for _ in range(100)]

        def send(peer: RawPeer) -> int:
            uid, content = data_set()
            return peer.status(store(uid, content))[0]

        try:
            for peer in peers:
                peer.associate()
            with ThreadPoolExecutor(25) as pool:
                assert list(pool.map(send, peers)) == [0] * 100
        finally:
            for peer in peers:
                peer.socket.close()
    gateway.ingest.replay()
    assert rows(gateway, instance) == 100
