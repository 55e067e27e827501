"""Thieves who sit in a place that certificates depend on: a name server, a web server, the CA."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from issuer.dns.asking import NoAnswer, ask
from issuer.dns.servers import question
from issuer.webroot import serving
from issuer.webroot.serving import Net, not_serving
from tests.issuer.box import Box
from tests.issuer.dns.test_hostile_server import Verbose
from tests.issuer.http01.site import Site, web_server
from tests.issuer.http01.test_serving import Web, redirect
from tests.servers.ca_proxy import CaProxy, Reply, Request
from tests.servers.lab import Lab
from tests.servers.ports import free_port, release_port
from tests.trust.conftest import NAME, OTHER, gets, is_his, signed_for_him
from tests.trust.thief import Thief

Den = Callable[..., Box]
HIS = "127.0.0.1"  # his web server


def test_a_name_server_of_the_zone(box: Box, den: Den, lab: Lab) -> None:
    """It answers what it likes, so that it can answer any challenge for the zone's names."""
    thief = Thief("A name server of the zone")
    his_key = lab.bind.tsig_key("his")
    lab.bind.dynamic_zone(f"_acme-challenge.{NAME}", "his")
    lab.bind.reconfigure()
    his = den(tsig=his_key)
    thief.tries("a certificate for his own key, from an account of his own", got=gets(his, NAME))
    box.forget_validations()
    box.run("reissue", NAME)
    thief.tries("a certificate for his own key in our database", got=is_his(bytes(box.row(NAME, "crt")[0])))
    used = time.process_time()
    with Verbose(3800) as server, suppress(NoAnswer):
        ask(server, question(NAME, "TXT"), 60)
    busy = time.process_time() - used > 2
    thief.tries("that the issuer works at his answers for minutes, by thousands of long names in each", got=busy)
    thief.is_told()


def test_the_web_server_of_a_name(lab: Lab, den: Den, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """http-01: a file in its webroot is all that a CA asks for."""
    thief = Thief("The web server of a name")
    his = den()
    his.document["webroot"] = {"http_port": lab.pebble.http_port, "propagation_timeout": "1s"}
    his.write(dns={"resolvers": [lab.bind.endpoint]})
    root = tmp_path / "html"
    root.mkdir()
    site = Site(his, lab, root)
    site.dns("www A 127.0.0.1", "shop A 192.0.2.1")
    with web_server(site, root):
        way = ("--webroot", str(root))
        thief.tries("a certificate for his own key, for a name that leads to this server", got=gets(his, NAME, *way))
        thief.tries("the same for a name that leads to another server", got=gets(his, OTHER, *way))
    monkeypatch.setattr(serving, "is_public", lambda address: address == HIS)  # as if that one were
    words = "a request of the issuer to an address in your network that he gives the name, at the path of the challenge"
    thief.tries(words, got=led_inside(at="/.well-known/acme-challenge/token"))
    thief.tries("the same at a path of his, by a redirect", got=led_inside(at="/latest/meta-data"))
    thief.is_told()


def led_inside(*, at: str) -> bool:
    """Is an inner address asked for that path, while his server redirects there?"""
    port = free_port()
    with ExitStack() as running:
        outside, inner = Web(port, running), Web(port, running)
        outside.serve(HIS, redirect(f"http://{NAME}:{port}/latest/meta-data"))
        inner.serve("127.0.0.2", b"HTTP/1.1 404 Not Found\r\n\r\n")
        not_serving(NAME, "token", "token.print", Net(lambda _: [HIS, "127.0.0.2"], port))
    release_port(port)
    return at in [request.split(b" ")[1].decode() for request in inner.requests]


@pytest.fixture
def hostile_ca(box: Box, lab: Lab, tmp_path: Path) -> Iterator[CaProxy]:
    """A CA that the box uses and that hands out what it likes."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    with CaProxy(folder, lab.pebble) as running:
        box.write(acme={"directory": running.directory, "ca_bundle": str(running.ca_file)})
        yield running


def test_the_ca(box: Box, hostile_ca: CaProxy) -> None:
    """It can sign for anybody. Our issuer stores nothing that is not for the CSR, and asks only about names ordered."""
    thief = Thief("The CA")

    def other_key(request: Request) -> Reply | None:
        kind = {"Content-Type": "application/pem-certificate-chain"}
        return Reply(200, signed_for_him(NAME), kind) if "/certZ/" in request.path else None

    hostile_ca.before.append(other_key)
    box.run("reissue", NAME)
    thief.tries("a certificate for another key in our database", got=is_his(bytes(box.row(NAME, "crt")[0])))
    hostile_ca.before.clear()
    asked = set()

    def other_name(request: Request, reply: Reply) -> Reply:
        if "/authZ/" not in request.path or reply.status >= 300:
            return reply
        document = json.loads(reply.body)
        document["identifier"]["value"] = "central.example.test"
        return Reply(reply.status, json.dumps(document).encode(), reply.headers)

    box.add_zone("central.example.test")
    assert box.bind is not None
    box.bind.reconfigure()
    hostile_ca.after.append(other_name)
    box.run("reissue", NAME)
    asked = box.txt("central.example.test")
    thief.tries("our answer to a challenge for a name that was not ordered", got=bool(asked))
    thief.is_told()
