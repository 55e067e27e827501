"""An sshd that was hardened: few sessions in a connection at a time."""

from contextlib import closing
from pathlib import Path

import pytest

from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.model.remote_host import RemoteHost, SshAddress
from agent.remote.session import Session
from tests.servers.sshd import Sshd


def session_with(sshd: Sshd) -> Session:
    pins = sshd.folder / "pins"
    pins.write_text(sshd.host_key_line(), encoding="ascii")
    return Session(RemoteHost(SshAddress(sshd.user, "127.0.0.1", sshd.port), sshd.key, pins), Waits())


@pytest.mark.soak
@pytest.mark.parametrize(("sessions", "sftp"), [(2, ""), (1, "/nonexistent")])
def test_as_many_as_are_needed(tmp_path: Path, sessions: int, sftp: str) -> None:
    """One for a command, and one for SFTP: a command follows the one before at once, and its session may not be free
    yet."""
    with Sshd(tmp_path / "sshd", sessions=sessions, sftp=sftp) as sshd, closing(session_with(sshd)) as session:
        for _ in range(100):
            session.files(lambda access: access.statuses(["/etc/passwd"]))
            assert session.execute("true").code == 0
        assert sshd.logins() == 1


def test_fewer_than_are_needed(tmp_path: Path) -> None:
    """The hint names the setting."""
    with Sshd(tmp_path / "sshd", sessions=1) as sshd, closing(session_with(sshd)) as session:
        session.files(lambda access: access.statuses(["/etc/passwd"]))
        with pytest.raises(HostLost) as caught:
            session.execute("true")
    assert "MaxSessions 2" in caught.value.hint
