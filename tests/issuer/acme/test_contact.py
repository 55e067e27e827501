"""The contact of the account: what is configured later reaches the CA; what it refuses stops no certificate."""

import dataclasses
import json

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem

NAME = "www.lab.test"
NOC, OPS = "noc@example.com", "mailto:ops@example.com"


def asked(proxy: CaProxy) -> list[list[str]]:
    """The contact of each update so far; one at registration is none."""
    of_accounts = [request for request in proxy.seen if "/my-account/" in request.path and request.payload]
    return [request.payload["contact"] for request in of_accounts if request.payload]


def without_contact(request: Request, reply: Reply) -> Reply:
    """A CA that shows no contact, as Let's Encrypt since 2025."""
    if "sign-me-up" not in request.path:
        return reply
    account = json.loads(reply.body)
    account.pop("contact", None)
    return dataclasses.replace(reply, body=json.dumps(account).encode())


def only_the_url(request: Request, reply: Reply) -> Reply:
    """A CA that names an account that exists without its object."""
    return dataclasses.replace(reply, body=b"") if "sign-me-up" in request.path and reply.status == 200 else reply


@pytest.mark.sampled
@pytest.mark.parametrize("rule", [None, without_contact, only_the_url], ids=["pebble", "keeps none", "no object"])
def test_a_later_contact_is_sent_once(proxied: Box, proxy: CaProxy, rule: object) -> None:
    """At the next order, and again only after the next change of the setting; an empty one changes nothing."""
    if rule is not None:
        proxy.after.append(rule)  # type: ignore[arg-type]
    proxied.enrol(NAME)
    proxied.ok("issue", NAME)
    proxied.write(acme={"contact": [NOC]})
    assert "account.contact_changed" in proxied.ok("-v", "reissue", NAME).err
    assert "account.contact_changed" not in proxied.ok("-v", "reissue", NAME).err
    proxied.write(acme={"contact": [OPS, NOC]})
    proxied.ok("reissue", NAME)
    proxied.write(acme={"contact": []})
    proxied.ok("reissue", NAME)
    assert asked(proxy) == [["mailto:noc@example.com"], [OPS, "mailto:noc@example.com"]]


def test_a_contact_from_the_beginning_is_no_change(proxied: Box, proxy: CaProxy) -> None:
    """The registration has told it, also to a CA that shows none."""
    proxy.after.append(without_contact)
    proxied.enrol(NAME)
    proxied.write(acme={"contact": [NOC]})
    for command in ("issue", "reissue"):
        assert "account.contact_changed" not in proxied.ok("-v", command, NAME).err
    assert asked(proxy) == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["invalidContact", "unsupportedContact"])
def test_a_contact_that_the_ca_refuses(proxied: Box, proxy: CaProxy, kind: str) -> None:
    """A warning with its remedy, at the registration and at an update; each time until it is mended."""

    def refuse(request: Request) -> Reply | None:
        named = request.payload is not None and "contact" in request.payload
        return problem(kind, "example.invalid cannot be used", 400) if named else None

    proxy.before.append(refuse)
    proxied.enrol(NAME)
    proxied.write(acme={"contact": ["noc@example.invalid"]})
    for command in ("issue", "reissue", "reissue"):
        said = proxied.ok(command, NAME).err
        assert "account.contact_refused" in said
        assert said.count("change contact of this CA") == 1
    proxy.before.remove(refuse)
    assert "account.contact_changed" in proxied.ok("-v", "reissue", NAME).err
