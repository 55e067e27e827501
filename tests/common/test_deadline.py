"""A total time limit holds however the peer divides its bytes, and whatever a library does with its connection."""

import socket
import threading
import time

import pytest

from common.deadline import Deadline, Incoming, cut_off


def test_bytes_until_the_deadline_and_no_more_than_wanted() -> None:
    """A reader gets what fits; more is an error, and so is the time after the deadline."""
    here, there = socket.socketpair()
    with here, there, Incoming(here, Deadline(60), 4) as incoming:
        there.sendall(b"12345")
        assert incoming.read(9) == b"1234"
        with pytest.raises(ConnectionAbortedError, match="no end"):
            incoming.read(9)
    here, there = socket.socketpair()
    with here, there, Incoming(here, Deadline(0.2), 4) as incoming:
        there.sendall(b"1")
        assert incoming.read(9) == b"1"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            incoming.read(9)
        assert time.monotonic() - began < 5


def test_a_connection_that_changed_hands_is_cut_off_too() -> None:
    """smtplib gives its connection to a TLS object: the one that is given up belongs to nobody then."""
    here, there = socket.socketpair()
    with there, pytest.raises(TimeoutError, match="not ended after"), cut_off(here, 0.1):
        moved = socket.socket(fileno=here.detach())
        with moved:
            if not moved.recv(9):  # it waits for ever
                raise EOFError


def test_what_ends_in_time_is_left_alone() -> None:
    """The connection goes on to be used, an error stays what it is, and no thread is left behind."""
    here, there = socket.socketpair()
    threads = threading.active_count()
    with here, there:
        with pytest.raises(ValueError, match="its own"), cut_off(here, 60):
            raise ValueError("its own")
        there.sendall(b"1")
        assert here.recv(9) == b"1"
    deadline = Deadline(10)
    while threading.active_count() > threads:
        deadline.left()
        time.sleep(0.01)
