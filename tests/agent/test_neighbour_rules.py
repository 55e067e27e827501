"""Which sockets of other certificates are looked at during an install: tables, without a host."""

from pathlib import Path

import pytest

from agent.model.certificate import Certificate, Service, Use
from agent.rules.neighbours import neighbours
from common.probe.target import parse_target

WEB = Service("web", activate=(("reload", "web"),))
MAIL = Service("mail", activate=(("reload", "mail"),))
ASKED = Service("asked", activate=(("reload", "asked"),), asks=True)
NEVER_TOLD = Service("none", check=(("check",),))


def certificate(name: str, **uses: str) -> Certificate:
    """One with the ports, in one text, at which each service shows it."""
    services = {"web": WEB, "mail": MAIL, "asked": ASKED, "none": NEVER_TOLD}
    return Certificate(
        name,
        frozenset({name}),
        Path("/k"),
        uses=tuple(
            Use(services[word], tuple(parse_target(f"tls://{name}:{port}?connect=::1") for port in ports.split()))
            for word, ports in uses.items()
        ),
    )


@pytest.mark.parametrize(
    ("group", "others", "found"),
    [
        ([certificate("a", web="1")], [certificate("b", web="2")], [["b:2"]]),
        ([certificate("a", web="")], [certificate("b", web="2 3")], [["b:2", "b:3"]]),
        ([certificate("a", web="1")], [certificate("b", web="1")], [[]]),  # it is looked at already
        ([certificate("a", web="")], [certificate("b", web="1"), certificate("c", web="1")], [["b:1"]]),
        ([certificate("a", web="1")], [certificate("b", mail="2")], [[]]),
        ([certificate("a", web="", mail="1")], [certificate("b", web="2", mail="3")], [["b:2", "b:3"]]),
        ([certificate("a", asked="")], [certificate("b", asked="2")], [[]]),
        ([certificate("a", none="")], [certificate("b", none="2")], [[]]),
        ([certificate("a")], [certificate("b", web="2")], [[]]),
        # those of one install: each judges its own sockets, and one that names none those of the others
        ([certificate("a", web="1"), certificate("b", web="2")], [], [[], []]),
        ([certificate("a", web=""), certificate("b", web="2")], [], [["b:2"], []]),
        ([certificate("a", web="1"), certificate("b", web="2")], [certificate("c", web="2 3")], [["c:3"], ["c:3"]]),
    ],
)
def test_whose_sockets_are_looked_at(
    group: list[Certificate], others: list[Certificate], found: list[list[str]]
) -> None:
    """Those of certificates for the same service, if it is told; each socket once."""
    some = neighbours(group, [*others, *group])
    assert [[f"{one.name}:{one.probes[0].port}" for one in its] for its in some] == found
    assert all(len(one.probes) == len(one.services) == 1 for its in some for one in its)


def test_a_service_with_a_thousand_sockets() -> None:
    """Some tell as much as all: whether it is there."""
    others = [certificate(f"n{port}", web=str(port)) for port in range(1, 1001)]
    ((*found,),) = neighbours([certificate("a", web="")], others)
    assert len(found) == 16
