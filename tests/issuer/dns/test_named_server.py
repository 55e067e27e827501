"""A name server that issuer.toml names by its host name."""

import socket

import pytest

from common.errors import CertfleetError, ConfigError, Retry
from issuer.commands.zone import _transferred_from
from issuer.dns.dynamic import DynamicZones
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import routes
from issuer.dns.servers import configured_servers
from issuer.model.config import DnsSettings
from issuer.model.errors import DnsError

NAME = "ns.example.test"
NO_ROUTE = "255.255.255.255"  # the kernel refuses it without SO_BROADCAST


@pytest.mark.parametrize(
    ("addresses", "taken"),
    [
        ([NO_ROUTE, "::1"], "::1"),
        (["::1", "127.0.0.1"], "127.0.0.1"),
        ([NO_ROUTE], NO_ROUTE),
    ],
    ids=["IPv6 alone", "both", "no route"],
)
def test_the_address_to_which_there_is_a_route(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], taken: str
) -> None:
    """A machine with IPv6 alone sends its updates to the IPv6 address. Where there is a route to none, the error is
    about the first."""
    found = [(0, 0, 0, "", (address, 53)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    settings = DnsSettings(server=NAME)
    [route] = routes(settings)
    assert DynamicZones(settings).primary(route).address == taken


@pytest.mark.parametrize(
    ("number", "kind", "retry"),
    [(socket.EAI_AGAIN, DnsError, Retry.SOON), (socket.EAI_NONAME, ConfigError, Retry.NEVER)],
    ids=["no answer", "no such name"],
)
def test_a_name_that_is_not_resolved(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[CertfleetError], retry: Retry
) -> None:
    """Where the resolver has no answer now the configuration may be right: it is tried again soon."""

    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(kind) as caught:
        configured_servers("server", ["ns1.example.test"])
    assert caught.value.retry is retry


def test_the_recipe_of_a_secondary_without_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names a place to fill in, as where the name does not exist."""

    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    settings = DnsSettings(server="ns1.example.test", resolvers=("127.0.0.1:9",))
    primary = _transferred_from(routes(settings)[0], "ns1.example.test", Resolvers(settings.resolvers))
    assert primary.address == "ADDRESS-OF-ns1.example.test"
