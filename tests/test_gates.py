"""The tests' own gates fire: loopback only, warnings fail."""

import socket
import warnings

import pytest


def test_no_socket_leaves_the_machine() -> None:
    with socket.socket() as outside, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))


def test_a_warning_is_an_error() -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
