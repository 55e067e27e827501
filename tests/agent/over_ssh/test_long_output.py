"""Commands of another host that say much more than anybody reads."""

from contextlib import closing

import pytest

from agent.model.errors import HostLost
from tests.agent.host import Host
from tests.agent.over_ssh.test_few_sessions import session_with
from tests.agent.remote import RemoteSite
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd

LONG = "yes 0123456 | head -c 10000000"


@pytest.mark.soak
def test_a_log_of_megabytes(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """It is no fault of the line: the certificate is installed, as on an agent's own host."""
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=["sh", "-c", LONG], activate=nginx.activate, probe=probe)
    done = host.run()
    assert done.certificate["state"] == "installed", done.err


def test_its_end_is_kept(sshd: Sshd) -> None:
    """Of a command that the agent runs for its effect; an answer to a question of its own is no such thing."""
    with closing(session_with(sshd)) as session:
        ended = session.execute(f"{LONG}; echo end; exit 3", 30)
        assert (ended.code, ended.out[-12:]) == (3, b"0123456\nend\n")
        assert len(ended.out) < 5_000_000
        with pytest.raises(HostLost, match="has no end"):
            session.execute(LONG)
