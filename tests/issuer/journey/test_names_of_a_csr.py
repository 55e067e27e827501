"""The names of an order are the alternative names and the common name of its CSR; a CA that sees it otherwise is
told apart, and its refusals speak of the CSR."""

import dataclasses
from functools import partial
from ipaddress import ip_address

import pytest
from cryptography import x509

from issuer.model.acme import Problem
from issuer.model.errors import DnsError
from issuer.model.failure import Failure
from issuer.model.leaf import Leaf
from issuer.model.outcomes import Ending
from issuer.rules.caa import CaaRecord
from tests.issuer.fakes.ca import refusal
from tests.issuer.fakes.calls import Call, raising
from tests.issuer.fakes.world import CA, NAME, OTHER_CA, World
from tests.issuer.signing_requests import csr

CLASSIC = csr(["bar.example.org"], common_name="WWW.Example.test")  # openssl req with [alt_names] DNS.1 alone
BOTH = frozenset({NAME, "bar.example.org"})


def world_with(request: bytes) -> World:
    world = World()
    world.enrol()
    world.change(csr=request)
    return world


def test_the_common_name_is_ordered_too() -> None:
    """The certificate carries both names, and is renewed as one for the same names."""
    world = world_with(CLASSIC)
    assert world.process().attempt().ending is Ending.STORED
    present = world.row().present
    assert isinstance(present, Leaf)
    assert present.names == BOTH
    [order] = world.ca.opened
    assert order.names == ("bar.example.org", NAME)
    world.change(reissue_reason="wish", due_at=None)
    assert world.process().attempt().ending is Ending.STORED


def test_a_ca_that_looks_at_the_alternative_names_alone() -> None:
    """It refuses at finalize. What to do is about the CSR, and nothing about the account."""
    world = world_with(CLASSIC)
    world.ca.takes_common_name = False
    failure = world.process().attempt().failure
    assert failure is not None
    assert "a CSR with all names among its alternative names" in failure.hint
    assert "account" not in failure.hint


@pytest.mark.parametrize("kind", ["badCSR", "unauthorized", "malformed", "rejectedIdentifier", "badPublicKey"])
def test_a_csr_that_is_refused(kind: str) -> None:
    """At once, or by the order that ends while the CA works on it: the hint speaks of the CSR."""
    for refuses_late in (False, True):
        world = World()
        world.enrol()
        process = world.process()
        if refuses_late:
            process.calls.after(Call("ca.finalize"), partial(end_order, world, Problem(kind, "no")))
            world.ca.signing_seconds = 5.0
        else:
            process.calls.before(Call("ca.finalize"), raising(refusal(kind, "no", 403)))
        failure = process.attempt().failure
        assert failure is not None
        assert (failure.reference, "CSR" in failure.hint) == (f"acme-{kind}", True)
        assert "our account" not in failure.hint


def end_order(world: World, error: Problem) -> None:
    [order] = world.ca.opened
    order.status, order.error = "invalid", error


@pytest.mark.parametrize("kind", ["caa", "rateLimited", "serverInternal"])
def test_a_refusal_about_something_else(kind: str) -> None:
    """It keeps its own hint."""
    world = world_with(CLASSIC)
    process = world.process()
    problem = refusal(kind, "no", 403)
    process.calls.before(Call("ca.finalize"), raising(problem))
    failure = process.attempt().failure
    assert failure is not None
    assert failure.hint == refusal(kind).hint


@pytest.mark.parametrize("step", ["ca.open_order", "ca.finalize"])
def test_a_name_beside_its_wildcard(step: str) -> None:
    """Boulder refuses the order with "malformed", which says nothing by itself."""
    world = world_with(csr([NAME, "*.example.test"]))
    process = world.process()
    process.calls.before(Call(step), raising(refusal("malformed", "is redundant with a wildcard domain")))
    failure = process.attempt().failure
    assert failure is not None
    assert "only one of a wildcard and a name that it covers" in failure.hint


def test_a_refused_order_for_other_names() -> None:
    """Names that do not overlap are no reason."""
    world = world_with(CLASSIC)
    process = world.process()
    process.calls.before(Call("ca.open_order"), raising(refusal("malformed", "no")))
    failure = process.attempt().failure
    assert failure is not None
    assert failure.hint == ""


def test_an_address_has_no_caa() -> None:
    """So a fallback CA is asked for it, wherever the CAA records of names cannot be looked up. It is an identifier of a
    type of its own, and the certificate names it."""
    world = World(CA, OTHER_CA)
    world.enrol(http=True)
    request = csr([], other_names=[x509.IPAddress(ip_address("192.0.2.7"))])
    world.change(csr=request, failures=2, failure=Failure("no", reference="acme-connection"))
    process = world.process()

    def silent(name: str) -> list[CaaRecord]:
        raise DnsError(f"nobody answers for {name}")

    process.tools = dataclasses.replace(process.tools, caa=silent)
    assert process.attempt().ending is Ending.STORED
    assert [len(ca.opened) for ca in world.authorities.values()] == [0, 1]
    present = world.row().present
    assert isinstance(present, Leaf)
    assert present.names == {"192.0.2.7"}
