"""The connection is cut while a key changes on a host without an agent: there is always a pair that fits."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import NAME, Done, Host
from tests.agent.over_ssh.test_remote_cut import SFTP, SHELL
from tests.agent.over_ssh.test_remote_next_key import assert_changed
from tests.agent.remote import RemoteSite
from tests.agent.test_next_key import fits, next_key, offer_next, request
from tests.servers.cutting import Cutting
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd

_PARTS = 9  # of a change, at whose ends the connection is cut


class Changing:
    """A host behind a line that can be cut, whose key changes again and again."""

    def __init__(self, host: Host, nginx: Nginx, line: Cutting) -> None:
        self.host, self.nginx, self.line = host, nginx, line
        host.first = host.offer_new()
        host.key.chmod(0o640)
        assert host.run().code == 0
        self.change(0, for_good=False)
        self.length = line.pieces

    def change(self, piece: int, *, for_good: bool) -> None:
        """A change that is cut at that piece; there is a pair that fits and is served at once, and the run after it
        ends with the new one."""
        assert request(self.host).code == 0
        made, new = next_key(self.host).read_bytes(), offer_next(self.host)
        self.line.cut_after(piece, for_good=for_good)
        cut: Done = self.host.run()
        assert cut.certificate["refused"] is None, cut
        assert fits(self.host), cut
        assert self.nginx.served() in {self.host.first.certificate, new.certificate}, cut
        assert subprocess.run(self.nginx.check, capture_output=True, check=False).returncode == 0
        if piece:
            self.line.mend()
            done = self.host.run()
            assert (done.code, done.certificate["state"]) == (0, "installed"), (cut, done)
        assert_changed(self.host, self.nginx, new, made)
        (self.host.folder / "next.csr").unlink()
        self.host.first = new


@pytest.fixture
def changing(host: Host, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Changing]:
    with (
        Sshd(tmp_path / "sshd", sftp=getattr(request, "param", SFTP)) as sshd,
        Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as nginx,
        Cutting(sshd.port) as line,
    ):
        site = RemoteSite(host, sshd, host.live)
        site.behind(line.port)
        site.configure(check=nginx.check, activate=nginx.activate, probe=[f"https://127.0.0.1:{nginx.port}"])
        yield Changing(host, nginx, line)


@pytest.mark.soak
@pytest.mark.parametrize(("part", "for_good"), [(3, False), (7, True)])
def test_cut_on_the_way(changing: Changing, part: int, for_good: bool) -> None:
    """From its first look to its last, by turns for a moment and until the next run; `make soak` tries all."""
    changing.change(changing.length * part // _PARTS, for_good=for_good)


@pytest.mark.soak
@pytest.mark.parametrize("changing", [SHELL], indirect=True)
def test_cut_on_the_way_where_a_shell_is_all(changing: Changing) -> None:
    """The same without SFTP."""
    changing.change(changing.length * 5 // _PARTS, for_good=True)


@pytest.mark.soak
@pytest.mark.parametrize("changing", [SFTP, SHELL], indirect=True, ids=["sftp", "shell"])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
def test_cut_at_every_piece_of_a_change(changing: Changing, for_good: bool) -> None:
    """Every single one."""
    for piece in range(1, changing.length + 1):
        changing.change(piece, for_good=for_good)
