"""Logins over SSH that come to nothing although the key is right."""

import getpass
import socket
from contextlib import closing
from pathlib import Path

import paramiko
import pytest

from common.ssh import SshConnection, SshError, load_private_key
from common.ssh_limits import SshLimits
from tests.servers.sshd import Sshd

USER = f"AuthorizedKeysCommandUser {getpass.getuser()}"
HANGS = ["AuthorizedKeysCommand /bin/sleep 20", USER, "AuthorizedKeysFile none"]


def refused(folder: Path, first: list[str], *, answer: float = 20.0) -> SshError:
    """The error of a login at an sshd with these lines of configuration."""
    with (
        Sshd(folder / "sshd", first=first) as sshd,
        closing(SshConnection(sshd.user, "127.0.0.1", sshd.port, SshLimits(answer=answer), "look there")) as connection,
    ):
        pins = folder / "pins"
        pins.write_text(sshd.host_key_line(), encoding="ascii")

        def log_in(_: socket.socket, transport: paramiko.Transport) -> None:
            connection.log_in(transport, load_private_key(sshd.key), sshd.key)

        with pytest.raises(SshError) as caught:
            connection.meet(connection.pins(pins), log_in)
    return caught.value


def test_a_host_that_wants_more_than_the_key(tmp_path: Path) -> None:
    """As a second factor: the methods that it wants are named, and where that is set."""
    first = ["PasswordAuthentication yes", "AuthenticationMethods publickey,password"]
    error = refused(tmp_path, first)
    assert error.fault == "login"
    assert "takes the key" in error.why
    assert "password" in error.why
    assert "AuthenticationMethods" in error.hint


@pytest.mark.soak
def test_a_host_that_ends_the_login(tmp_path: Path) -> None:
    """As one whose account has expired, or with /etc/nologin: nobody is told to add a key that is there."""
    error = refused(tmp_path, [*HANGS, "LoginGraceTime 1"])
    assert error.fault == "host"
    assert "ends the connection at the login: it closed the connection" in str(error)
    assert "/etc/nologin" in error.hint
    assert "authorized_keys" not in error.hint


def test_a_login_that_takes_too_long(tmp_path: Path) -> None:
    """As where a directory of users is slow."""
    error = refused(tmp_path, HANGS, answer=0.5)
    assert error.fault == "host"
    assert "does not end the login: no answer within 0.5 s" in str(error)
    assert error.hint == "look there"
