"""The connection to a host without an agent is cut, at any step of an install: the next run settles it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import NAME, Done, Host
from tests.agent.remote import RemoteSite
from tests.servers.cutting import Cutting
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd

_PARTS = 12  # of an install, at whose ends the connection is cut
SFTP, SHELL = "", "/nonexistent"


class Cut:
    """The site behind a line that can be cut, with its first certificate installed."""

    def __init__(self, host: Host, site: RemoteSite, nginx: Nginx, line: Cutting) -> None:
        self.host, self.site, self.nginx, self.line = host, site, nginx, line
        site.behind(line.port)
        site.configure(check=nginx.check, activate=nginx.activate, probe=[f"https://127.0.0.1:{nginx.port}"])
        host.first = host.offer_new()
        self.line.cut_after(0, for_good=False)
        assert host.run().code == 0
        self.length = line.pieces

    def renew(self, piece: int, *, for_good: bool) -> Done:
        """A run with a newer certificate, cut at that piece; whatever it says, the service is never without, and the
        run after it ends with the newer one proven."""
        renewed = self.host.offer_new()
        self.line.cut_after(piece, for_good=for_good)
        cut = self.host.run()
        assert cut.certificate["state"] in {"installed", "unreachable", "failed", "broken"}
        assert cut.certificate["refused"] is None, cut
        assert self.nginx.served() in {self.host.first.certificate, renewed.certificate}, cut
        assert self.host.fullchain.read_bytes() in {self.host.first.fullchain_pem, renewed.fullchain_pem}, cut
        assert subprocess.run(self.nginx.check, capture_output=True, check=False).returncode == 0
        self.line.mend()
        done = self.host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), (cut, done)
        assert self.nginx.served() == renewed.certificate
        assert self.host.fullchain.read_bytes() == renewed.fullchain_pem
        assert self.host.leftovers() == []
        self.host.first = renewed
        return cut


@pytest.fixture
def cut(host: Host, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cut]:
    with (
        Sshd(tmp_path / "sshd", sftp=getattr(request, "param", SFTP)) as sshd,
        Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as nginx,
        Cutting(sshd.port) as line,
    ):
        yield Cut(host, RemoteSite(host, sshd, host.live), nginx, line)


def test_cut_then_settled(cut: Cut) -> None:
    """Early and late in an install, by turns for a moment and until the next run; `make soak` tries all."""
    for part in range(1, _PARTS, 2):
        cut.renew(cut.length * part // _PARTS, for_good=part % 4 == 1)


@pytest.mark.soak
@pytest.mark.parametrize("cut", [SHELL], indirect=True)
def test_cut_where_a_shell_is_all(cut: Cut) -> None:
    """Content that comes to an early end never gets the name of a live file."""
    for part, for_good in ((7, True), (9, False)):
        cut.renew(cut.length * part // _PARTS, for_good=for_good)


@pytest.mark.soak
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
def test_cut_at_every_piece(cut: Cut, for_good: bool) -> None:
    """Every single one."""
    for piece in range(1, cut.length + 1):
        cut.renew(piece, for_good=for_good)
