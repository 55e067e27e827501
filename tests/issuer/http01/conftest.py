"""Webroots of this machine and of a real sshd, and a web site that a real CA validates through a real nginx."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.config import parse
from issuer.model.acme import Challenge
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.webroot.location import to_journal
from issuer.webroot.webroots import Webroots
from tests.issuer.box import Box
from tests.issuer.http01.site import Site, web_server
from tests.servers.lab import Lab
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
NAME = "www.example.test"
MACHINE = "issuer1"


@dataclass(frozen=True, slots=True)
class Remote:
    """An sshd, and how an issuer is told to use it."""

    sshd: Sshd
    host_keys: Path

    @property
    def settings(self) -> dict[str, Any]:
        return {"ssh_key_file": str(self.sshd.key), "ssh_host_keys": str(self.host_keys)}

    def pin(self, *lines: str) -> None:
        self.host_keys.write_text("\n".join([*lines, ""]), encoding="ascii")


@dataclass(frozen=True, slots=True)
class Place:
    """One webroot and the solver for it. *folder* is where it really lies; *again* is another process's solver,
    on the same machine if it is not given another."""

    path: str
    folder: Path
    again: Callable[..., Webroots]
    webroots: Webroots
    sshd: Sshd | None

    @property
    def challenges(self) -> Path:
        return self.folder / ".well-known" / "acme-challenge"

    @property
    def noted(self) -> str:
        """The webroot as the journal holds it."""
        return to_journal(self.path, MACHINE)

    def row(self, path: str = "") -> Enrolment:
        return row(path or self.path)

    def entry(self, token: str = TOKEN, *, path: str = "") -> Challenge:
        return entry(path or self.path, token)


def row(path: str, name: str = NAME) -> Enrolment:
    """A row of certs with certbot = 'Y'."""
    return Enrolment(
        name=name,
        enabled=True,
        validation=Validation(certbot=True, webroot_path=path),
        csr=b"",
        crt=b"",
        ca=b"",
        ts_expire=1,
        ts_last_update=1,
        failures=0,
        due_at=None,
        reissue_reason="",
    )


def entry(path: str, token: str = TOKEN, name: str = NAME) -> Challenge:
    """A line of the journal, as an issuer on MACHINE writes it."""
    value = f"{token}.thumbprint"
    zone = to_journal(path, MACHINE)
    return Challenge("http-01", name, "https://ca.test/authz", "https://ca.test/chall", name, zone, value)


def settings(state_dir: Path, **webroot: Any) -> Settings:
    """An issuer's settings, as they come out of a file."""
    return parse(Settings, {"state_dir": str(state_dir), "webroot": webroot}, "issuer.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A web site's root, world readable as such folders are."""
    made = tmp_path / "html"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """An sshd for the user who runs the tests; the umask of anybody but root is a strict one."""
    with Sshd(tmp_path / "sshd", umask="022" if os.geteuid() == 0 else "077") as server:
        yield server


@pytest.fixture
def remote(sshd: Sshd, tmp_path: Path) -> Remote:
    """The sshd, with its host key pinned."""
    found = Remote(sshd, tmp_path / "ssh_host_keys")
    found.pin(sshd.host_key_line())
    return found


@pytest.fixture(params=["local", "sftp"])
def place(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Place:
    """A webroot, once here and once over SFTP: what is promised holds for both."""
    sshd = None
    path, known = str(folder), settings(tmp_path / "state")
    if request.param == "sftp":
        there: Remote = request.getfixturevalue("remote")
        sshd = there.sshd
        path, known = sshd.url(folder), settings(tmp_path / "state", **there.settings)

    def on(machine: str = MACHINE) -> Webroots:
        return Webroots(known, machine)

    return Place(path, folder, on, on(), sshd)


@pytest.fixture
def site(box: Box, lab: Lab, folder: Path) -> Site:
    """The web site's name points here, but no web server runs yet."""
    box.document["webroot"] = {"http_port": lab.pebble.http_port, "propagation_timeout": "1s"}
    box.write(dns={"resolvers": [lab.bind.endpoint]})
    made = Site(box, lab, folder)
    made.dns("www A 127.0.0.1", "shop A 127.0.0.1", "example.test. A 127.0.0.1", "central A 127.0.0.1")
    return made


@pytest.fixture
def nginx(site: Site) -> Iterator[Nginx]:
    """A web server that serves the webroot, as it should be."""
    with web_server(site, site.root) as server:
        yield server


@pytest.fixture
def misled(site: Site, tmp_path: Path) -> Iterator[Nginx]:
    """A web server that serves another folder than webroot_path says."""
    other = tmp_path / "other"
    other.mkdir()
    with web_server(site, other) as server:
        yield server
