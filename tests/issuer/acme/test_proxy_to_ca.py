"""The proxy of the environment (https_proxy) on the way to the CA."""

import base64
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from common.config_file import load
from issuer.ca.client import AcmeCa
from issuer.model.config import Settings
from issuer.model.errors import AcmeProblem
from tests.issuer.box import Box
from tests.servers.lab import Lab
from tests.servers.line import Line
from tests.servers.ports import LOOPBACK

WANTED = "Basic " + base64.b64encode("anna:s€cret/@".encode()).decode()
LOGIN = "anna:s%E2%82%ACcret%2F%40"


class Tunnel(Line):
    """A proxy that takes CONNECT (RFC 9110 §9.3.6) to one server, and with *login* only who gives that."""

    login = ""

    def serve(self, client: socket.socket) -> None:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += client.recv(1)
        if f"Proxy-Authorization: {self.login}".lower().encode() not in asked.lower() and self.login:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        super().serve(client)


@pytest.fixture
def tunnel(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tunnel]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Tunnel((LOOPBACK, lab.pebble.port)) as running:
        yield running


def terms(box: Box) -> object:
    """From the CA's directory."""
    settings = load(Settings, box.config)
    with closing(AcmeCa(settings, settings.acme, time.time)) as ca:
        return ca.meta().get("termsOfService")


@pytest.mark.parametrize(("before", "login"), [("", ""), ("http://", ""), ("", WANTED), ("http://", WANTED)])
def test_any_form_that_other_programs_take(
    box: Box, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch, before: str, login: str
) -> None:
    """Without a scheme it is http, as for curl; a login, of any characters, is sent to the proxy."""
    tunnel.login = login
    who = f"{LOGIN}@" if login else ""
    monkeypatch.setenv("https_proxy", f"{before}{who}{LOOPBACK}:{tunnel.port}")
    assert terms(box)
    assert tunnel.met == 1


@pytest.mark.sampled
@pytest.mark.parametrize(
    "proxy", ["http://anna:s3cret@127.0.0.1:{port}", "anna:s3cret@127.0.0.1:none", "anna:s3cret@["]
)
def test_the_login_stands_in_no_error(box: Box, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Where the proxy refuses it, and where the address is malformed."""
    tunnel.login = WANTED
    monkeypatch.setenv("https_proxy", proxy.format(port=tunnel.port))
    with pytest.raises(AcmeProblem) as caught:
        terms(box)
    assert "s3cret" not in str(caught.value)
    for words in (["check"], ["egress"], ["account", "show"]):
        said = box.run(*words)
        assert "s3cret" not in said.out + said.err
