"""Secrets at rest."""

import pytest

from konsil.secrets import SecretsError, new_master_key, open_, seal


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())


def test_what_is_sealed_opens_and_never_looks_the_same() -> None:
    assert open_(seal(b"refresh token")) == b"refresh token"
    assert seal(b"refresh token") != seal(b"refresh token")
    assert b"refresh" not in seal(b"refresh token")


@pytest.mark.parametrize("place", [0, 1, 20, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    sealed = bytearray(seal(b"refresh token"))
    sealed[place] ^= 1
    with pytest.raises(SecretsError):
        open_(bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short"])
def test_a_stump_is_refused(sealed: bytes) -> None:
    with pytest.raises(SecretsError):
        open_(sealed)


def test_another_key_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(b"refresh token")
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())
    with pytest.raises(SecretsError, match="another key"):
        open_(sealed)


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "not base64!"])
def test_without_a_good_key_nothing_is_sealed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", key)
    with pytest.raises(SecretsError, match="KONSIL_MASTER_KEY"):
        seal(b"refresh token")
