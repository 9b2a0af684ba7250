"""Storage commitment with Orthanc on the other side, in both roles, and with a peer that reports at once."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from sqlalchemy import select

from dicom_gateway import commitment, commitment_jobs, route
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import commitment as commitments
from dicom_gateway.index.exchange import forwarded_instance, forwarding
from dicom_gateway.index.models import outbox
from dicom_gateway.peers import by_name
from konsil.database import reader
from konsil.outbox import Runner
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.web.data import put, slices
from tests.peers import orthanc, storescp, unused_port


def work(gateway: Gateway, until: Callable[[], bool]) -> None:
    """Let the outbox run until something is so."""
    runner = Runner(gateway.engine, outbox, route.handlers(gateway) | commitment_jobs.handlers(gateway))
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, "it did not come so far"
        runner.run_due()
        time.sleep(0.02)


def states(gateway: Gateway) -> list[str]:
    with reader(gateway.engine).begin() as connection:
        return list(connection.execute(select(commitments.c.state)).scalars())


def send(gateway: Gateway, study: str) -> None:
    """Have a study sent to the destination."""
    with gateway.engine.begin() as connection:
        route.plan_one(connection, study, by_name(connection, "there"))


def forwarded(gateway: Gateway) -> tuple[str, int]:
    with reader(gateway.engine).begin() as connection:
        row = connection.execute(select(forwarding.c.state, forwarding.c.sent)).one()
        return str(row.state), int(row.sent)


@pytest.mark.peer
@pytest.mark.spec("PS3.4 J.3.2, J.3.3")
def test_orthanc_commits_itself_to_what_it_was_sent(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    heads = put(gateway, *slices(3))
    with listening(gateway) as listener, orthanc(tmp_path / "orthanc", our_port=listener.port) as peer:
        know(gateway, name="there", ae_title=peer.ae_title, port=peer.port, can=["store", "commit"])
        send(gateway, heads[0].StudyInstanceUID)
        work(gateway, lambda: states(gateway) == ["committed"])
        assert forwarded(gateway) == ("sent", 3)
        with reader(gateway.engine).begin() as connection:
            assert list(commitment.standing(connection).values()) == ["committed"]


@pytest.mark.peer
@pytest.mark.spec("PS3.4 J.3.3.1")
def test_what_orthanc_has_lost_is_sent_again(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    heads = put(gateway, *slices(3))
    with listening(gateway) as listener, orthanc(tmp_path / "orthanc", our_port=listener.port) as peer:
        know(gateway, name="there", ae_title=peer.ae_title, port=peer.port, can=["store"])
        send(gateway, heads[0].StudyInstanceUID)
        work(gateway, lambda: forwarded(gateway) == ("sent", 3))
        peer.delete_instance(heads[1].SOPInstanceUID)
        with gateway.engine.begin() as connection:
            number = connection.execute(select(forwarding.c.id)).scalar_one()
            commitment.want(connection, number, "there")
        work(gateway, lambda: states(gateway) == ["failed"])
        assert forwarded(gateway) == ("failed", 2)
        with reader(gateway.engine).begin() as connection:
            failed = json.loads(connection.execute(select(commitments.c.failed)).scalar_one())
            assert len(connection.execute(select(forwarded_instance)).all()) == 2
        assert failed == [[heads[1].SOPClassUID, heads[1].SOPInstanceUID, 0x0112]]
        send(gateway, heads[0].StudyInstanceUID)
        work(gateway, lambda: forwarded(gateway) == ("sent", 3))
        assert len(peer.instances()) == 3


@pytest.mark.peer
@pytest.mark.spec("PS3.4 J.3.2")
def test_we_commit_ourselves_to_orthanc_to_what_we_hold(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    heads = put(gateway, *slices(2))
    with listening(gateway) as listener, orthanc(tmp_path / "orthanc", our_port=listener.port) as peer:
        know(gateway, name="there", ae_title=peer.ae_title, port=peer.port)
        items = [[str(head.SOPClassUID), str(head.SOPInstanceUID)] for head in heads]
        assert asked(gateway, peer.http, items) == "Success"
        assert asked(gateway, peer.http, [*items, [str(CTImageStorage), "1.2.3"]]) == "Failure"


def asked(gateway: Gateway, http: str, items: list[list[str]]) -> str:
    """What Orthanc was told of its request."""
    names = [{"SOPClassUID": kind, "SOPInstanceUID": uid} for kind, uid in items]
    request = httpx.post(f"{http}/modalities/konsil/storage-commitment", json={"DicomInstances": names}, timeout=30)
    assert request.status_code == 200, request.text
    address = f"{http}{request.json()['Path']}"

    def status() -> str:
        return str(httpx.get(address, timeout=30).json()["Status"])

    work(gateway, lambda: status() != "Pending")
    return status()


@pytest.mark.spec("PS3.4 J.3.3, PS3.7 10.1.1")
def test_a_report_on_the_association_of_the_request(make_gateway: MakeGateway) -> None:
    """Of another peer's transaction nothing is taken."""
    gateway = make_gateway(mode="archive")
    heads = put(gateway, *slices(1))
    answers: list[int] = []
    requests: list[Dataset] = []

    def on_n_action(event: evt.Event) -> tuple[int, None]:
        requests.append(event.action_information)
        return 0, None

    def on_sent(event: evt.Event) -> None:
        if requests and type(event.message).__name__ == "N_ACTION_RSP":
            Thread(target=report, args=(event.assoc, requests.pop())).start()

    def report(assoc: Any, wanted: Dataset) -> None:
        for uid in ("1.2.3", wanted.TransactionUID):
            told = Dataset()
            told.TransactionUID, told.ReferencedSOPSequence = uid, wanted.ReferencedSOPSequence
            answer, _ = assoc.send_n_event_report(
                told, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            answers.append(answer.Status)

    ae = AE("THERE")
    ae.add_supported_context(CTImageStorage)
    ae.add_supported_context(StorageCommitmentPushModel)
    port = unused_port()
    handlers: list[Any] = [
        (evt.EVT_N_ACTION, on_n_action),
        (evt.EVT_DIMSE_SENT, on_sent),
        (evt.EVT_C_STORE, lambda _event: 0),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        know(gateway, name="there", ae_title="THERE", port=port, can=["store", "commit"])
        send(gateway, heads[0].StudyInstanceUID)
        work(gateway, lambda: states(gateway) == ["committed"])
        assert answers[0] == 0x0115
    finally:
        server.shutdown()


@pytest.mark.peer
def test_a_destination_without_the_service_is_asked_again(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    heads = put(gateway, *slices(1))
    with storescp(tmp_path / "received", "THERE") as destination:
        know(gateway, name="there", ae_title="THERE", port=destination.port, can=["store", "commit"])
        send(gateway, heads[0].StudyInstanceUID)
        work(gateway, lambda: "contexts-refused" in error(gateway))
        assert forwarded(gateway) == ("sent", 1) and states(gateway) == ["asked"]


def error(gateway: Gateway) -> str:
    with reader(gateway.engine).begin() as connection:
        asking = select(outbox.c.last_error).where(outbox.c.kind == commitment.ASK)
        return str(connection.execute(asking).scalar())
