"""Answers that differ from Pebble's in form alone, as other CAs send them: the certificate is stored all the same."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from common.certificate import certified_names, chain_faults, common_names, parse_bundle
from tests.issuer.box import Box
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request
from tests.servers.database import SqliteDatabase
from tests.servers.pebble import Pebble

NAME = "www.lab.test"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)

Form = Callable[[str], str]
"""A Link header of the relation "alternate" to a URL."""


@pytest.fixture
def pebble(bind: Bind, tmp_path: Path) -> Iterator[Pebble]:
    """With two intermediates and two more roots."""
    with Pebble(tmp_path / "pebble", bind.endpoint, alternate_roots=2, chain_length=2) as running:
        yield running


@pytest.fixture
def ca(pebble: Pebble, tmp_path: Path) -> Iterator[CaProxy]:
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", pebble) as running:
        yield running


@pytest.fixture
def chained(ca: CaProxy, bind: Bind, tmp_path: Path) -> Box:
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind)
    made.write(acme={"directory": ca.directory, "ca_bundle": str(ca.ca_file)})
    made.set_up()
    return made


@pytest.mark.soak
def test_links_to_other_chains(chained: Box, ca: CaProxy, pebble: Pebble) -> None:
    """In each legal form of RFC 8288 the preferred chain is found and stored."""
    forms: list[Form] = [
        lambda url: f'<{url}>; title="a, b; rel=up <x>"; REL=Alternate',
        lambda url: f'<{urlsplit(url).path}>;rel="ALTERNATE"',
        lambda url: f'</dir>;rel="index", <{url}>\t;\trel = "other alternate";rel="index"',
        lambda url: f"<../{urlsplit(url).path.lstrip('/')}> ; type=x ; rel=alternate",
    ]
    used = [forms[0]]

    def rewrite(request: Request, reply: Reply) -> Reply:
        urls = re.findall(r'<([^<>]*)>;\s*rel="alternate"', reply.headers.get("Link", ""))
        if not urls:
            return reply
        return dataclasses.replace(reply, headers={**reply.headers, "Link": ", ".join(map(used[0], urls))})

    ca.after.append(rewrite)
    chained.enrol(NAME)
    for number, form in enumerate(forms):
        used[0] = form
        root = x509.load_pem_x509_certificate(pebble.root(1 + number % 2))
        [wanted] = root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        chained.write(acme={"preferred_chain": str(wanted.value)})
        assert "chain.not_offered" not in chained.ok("issue", NAME).err
        bundle = parse_bundle(*chained.row(NAME, "crt", "ca"))
        assert str(wanted.value) in common_names(bundle.chain[-1])


@pytest.mark.soak
def test_a_chain_in_another_order(chained: Box, ca: CaProxy) -> None:
    """Out of order, or with a certificate twice: it is put right."""
    sent, order = list[bytes](), list[int]()

    def shuffle(request: Request, reply: Reply) -> Reply:
        found = _PEM.findall(reply.body)
        if len(found) != 3:
            return reply
        sent[:] = found
        return dataclasses.replace(reply, body=b"".join(found[position] for position in order))

    ca.after.append(shuffle)
    chained.enrol(NAME)
    for order[:] in [0, 1, 1, 2], [0, 2, 1], [0, 2, 2, 1, 1], [0, 0, 2, 1]:
        chained.ok("issue", NAME)
        crt, chain = chained.row(NAME, "crt", "ca")
        assert bytes(crt + chain) == b"".join(sent)
        assert chain_faults(parse_bundle(crt, chain)) == []


def test_an_asterisk_in_an_authorization(proxied: Box, proxy: CaProxy) -> None:
    """`*.` in the identifier in place of the field "wildcard" (RFC 8555 §7.1.4 has it the other way round). A person
    who issues by hand reads the record's name without it."""
    rewritten = []

    def rewrite(request: Request, reply: Reply) -> Reply:
        document = json.loads(reply.body) if "/authZ/" in request.path else {}
        if not document.pop("wildcard", False):
            return reply
        document["identifier"]["value"] = f"*.{document['identifier']['value']}"
        rewritten.append(request.path)
        return dataclasses.replace(reply, body=json.dumps(document).encode())

    proxy.after.append(rewrite)
    proxied.enrol(NAME, f"*.{NAME}")
    proxied.ok("run")
    assert rewritten
    assert certified_names(parse_bundle(*proxied.row(NAME, "crt", "ca")).leaf) == {NAME, f"*.{NAME}"}
    assert proxied.txt(NAME) == set()
    proxied.forget_validations()
    told = proxied.ok("challenges", NAME, "--json").report()
    assert {(each["identifier"], each["owner"]) for each in told} == {(NAME, f"_acme-challenge.{NAME}")}
    assert {one["name"] for each in told for one in each["offered"]} == {NAME, f"*.{NAME}"}


def test_relative_locations(proxied: Box, proxy: CaProxy) -> None:
    """Of a new account and of a new order (RFC 9110 §10.2.2)."""
    seen = []

    def relative(request: Request, reply: Reply) -> Reply:
        if "Location" not in reply.headers:
            return reply
        seen.append(request.path)
        return dataclasses.replace(
            reply, headers={**reply.headers, "Location": urlsplit(reply.headers["Location"]).path}
        )

    proxy.after.append(relative)
    proxied.enrol(NAME)
    proxied.ok("run")
    assert {"/sign-me-up", "/order-plz"} <= set(seen)
    [(_, url)] = proxied.orders(NAME)
    assert url.startswith(proxy.directory.removesuffix("dir"))
