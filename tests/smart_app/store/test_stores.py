"""Sessions, drafts, write-back and cursor on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from anyio import run
from sqlalchemy import Engine, select

from konsil.database import sync_engine
from konsil.migrate import upgrade
from konsil.outbox import NewJob
from smart_app.app import VERSION_TABLE
from smart_app.launches import AuthorizationRequest, Grant, Launch, Tokens
from smart_app.reading.writing import keep
from smart_app.store.drafts import DraftStore
from smart_app.store.models import outbox
from smart_app.store.sessions import SessionStore
from smart_app.store.writebacks import WritebackStore


@pytest.fixture
def engine(database_url: str, master_key: None) -> Iterator[Engine]:
    upgrade(database_url, "smart_app", VERSION_TABLE)
    made = sync_engine(database_url)
    yield made
    made.dispose()


def request(session_id: str) -> AuthorizationRequest:
    return AuthorizationRequest(
        session_id=session_id,
        kind="standalone",
        tenant=None,
        issuer="i",
        fhir_base="b",
        token_endpoint="t",
        jwks_url="j",
        client_id="c",
        code_verifier="v",
        nonce="n",
    )


def test_a_state_is_redeemed_once_even_by_two_at_a_time(engine: Engine) -> None:
    store = SessionStore(engine)
    session, secret = store.begin(1)
    assert store.find(secret) == session
    store.remember("state", request(session.id), 1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: store.redeem("state", session.id), range(4)))
    assert len([each for each in found if each]) == 1


def test_a_session_keeps_its_person(engine: Engine) -> None:
    store = SessionStore(engine)
    session, secret = store.begin(1)
    assert store.adopt(session.id, "issuer one")
    assert store.adopt(session.id, "issuer one")
    assert not store.adopt(session.id, "issuer two")
    far = 4e9
    launch = Launch(id="l", session_id=session.id, subject="issuer one", practitioner="Practitioner/p", expires_at=far)
    store.add_launch(launch, Tokens(own=Grant(access_token="a", expires_at=far)))
    assert store.find_launch("l", secret) == launch
    assert store.find_launch("l", "another") is None
    store.end(session.id)
    assert store.find_launch("l", secret) is None
    assert store.tokens("l") is None


def test_a_draft_is_sent_once_and_never_written_over(engine: Engine) -> None:
    store = DraftStore(engine)
    draft = store.current("Practitioner/p", "request", "Patient/x", "Patient/x")
    assert store.save(draft, {"question": "one"})
    assert not store.save(draft, {"question": "from a window that saw the old version"})
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: store.start_sending(draft.id), range(4))) == 1
    store.put_part(draft.id, "chart", b"{}")
    store.finish(draft.id)
    assert store.part(draft.id, "chart") is None
    following = store.current("Practitioner/p", "request", "Patient/x", "Patient/x")
    assert following.id != draft.id


def test_the_cursor_moves_with_what_it_found(engine: Engine) -> None:
    store = WritebackStore(engine)
    row = {"case_id": "c", "report": "DiagnosticReport/r", "tenant": ""}
    job = NewJob("writeback", {"case": "c"}, "writeback c r")
    for _ in range(2):
        store.advance("signed", "2026-11-22T00:00:00Z", {"c/1"}, [(job, row)])
    assert store.position("signed") == ("2026-11-22T00:00:00Z", {"c/1"})
    with engine.connect() as connection:
        assert len(connection.execute(select(outbox.c.id)).all()) == 1
    assert [each.state for each in store.of_case("c")] == ["waiting"]
    store.record(("c", "DiagnosticReport/r"), "failed", "No.")
    assert store.send_again("c")
    assert not store.send_again("c")


def test_a_window_keeps_its_words_though_an_earlier_save_of_its_own_came_in_between(engine: Engine) -> None:
    store = DraftStore(engine)
    read = store.current("me", "report", "Task/1", "Patient/1")
    assert store.save(read, {"window": "mine", "answer": "Resect"})
    assert run(keep, store, read, {"window": "mine", "answer": "Resect it."}, "1")
    assert not run(keep, store, read, {"window": "other", "answer": "Watch it."}, "1")
    kept = store.find(read.id, "me")
    assert kept and kept.content["answer"] == "Resect it."
    assert store.start_sending(read.id)
    assert not run(keep, store, kept, {"window": "mine", "answer": "Too late."})
