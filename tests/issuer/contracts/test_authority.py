"""What a CertificateAuthority promises, with a solver whose answers it sees."""

import dataclasses

import pytest

from common.certificate import certified_names
from common.errors import Retry
from issuer.model.acme import CaOrder, Challenge
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem
from issuer.rules.acceptance import accept
from issuer.rules.challenges import Answer, answers
from issuer.rules.csr import read_csr
from tests.issuer.contracts.conftest import Ground


def opened(ground: Ground, *names: str) -> tuple[CaOrder, CsrFacts, list[Challenge]]:
    """A new order for names that nobody had before, and what answers it."""
    row = ground.row(*names)
    facts = read_csr(row.csr)
    order = ground.ca.open_order(facts.names)
    return order, facts, wanted(ground, order, facts, row)


def wanted(ground: Ground, order: CaOrder, facts: CsrFacts, row: Enrolment) -> list[Challenge]:
    kind = ground.solver.type

    def answer(name: str) -> Answer:
        return Answer(
            kind.name,
            lambda challenge: kind.content(challenge, name, ground.ca.key_authorization),
            lambda: ground.solver.place(name, row),
        )

    return answers([ground.ca.authorization(url) for url in order.authorizations], facts.names, answer)


def answered(ground: Ground, order: CaOrder, entries: list[Challenge]) -> CaOrder:
    """The order when the CA has looked at what is published."""
    ground.solver.publish(entries)
    ground.wait(lambda: ground.solver.unseen(entries) == [])
    for entry in entries:
        ground.ca.answer(entry.url)
    ground.wait(lambda: ground.ca.order(order.url).status != "pending")
    ground.solver.withdraw(entries)
    return ground.ca.order(order.url)


def test_from_an_order_to_a_certificate(ground: Ground) -> None:
    """Pending, ready, valid; the certificate has the names and the key of the CSR, and comes with its chain."""
    order, facts, entries = opened(ground, "www", "api")
    assert (order.status, order.certificate_url, order.error) == ("pending", "", None)
    assert len(order.authorizations) == len(entries) == 2
    again = ground.ca.order(order.url)
    assert (again.url, again.status, again.finalize_url) == (order.url, "pending", order.finalize_url)
    assert set(again.authorizations) == set(order.authorizations)  # Pebble lists them in any order
    ready = answered(ground, order, entries)
    assert ready.status == "ready"
    assert {ground.ca.authorization(url).status for url in order.authorizations} == {"valid"}
    assert ground.ca.finalize(ready, facts.der).status in ("processing", "valid")
    ground.wait(lambda: ground.ca.order(order.url).status == "valid")
    pem = ground.ca.certificate(ground.ca.order(order.url).certificate_url)
    bundle = accept(pem, facts, ground.tools.clock(), present=None)
    assert certified_names(bundle.leaf) == set(facts.names)
    assert bundle.chain


def test_a_wildcard_is_asked_about_by_its_base_name(ground: Ground) -> None:
    """By dns-01 alone (RFC 8555 §7.1.4, §8.3)."""
    row = ground.row("shop")
    [url] = ground.ca.open_order([f"*.{row.name}"]).authorizations
    authorization = ground.ca.authorization(url)
    assert authorization.identifier == row.name
    assert "http-01" not in {challenge.type for challenge in authorization.challenges}


def test_each_challenge_waits_for_an_answer(ground: Ground) -> None:
    """With a token of its own, for the account's key."""
    order, _, _ = opened(ground)
    [authorization] = [ground.ca.authorization(url) for url in order.authorizations]
    assert authorization.status == "pending"
    assert {"dns-01", "http-01"} <= {challenge.type for challenge in authorization.challenges}
    assert {challenge.status for challenge in authorization.challenges} == {"pending"}
    token = authorization.challenges[0].token
    assert ground.ca.key_authorization(token).startswith(f"{token}.")
    assert ground.ca.account_url() == ground.ca.account_url() != ""


def test_a_wrong_answer_ends_the_order(ground: Ground) -> None:
    """Both are invalid, and the CA says why; a certificate is not to be had any more."""
    order, facts, entries = opened(ground)
    ended = answered(ground, order, [dataclasses.replace(entry, value="wrong") for entry in entries])
    assert ended.status == "invalid"
    assert ended.error is not None
    [authorization] = [ground.ca.authorization(url) for url in order.authorizations]
    assert authorization.status == "invalid"
    [error] = [challenge.error for challenge in authorization.challenges if challenge.error]
    assert (error.kind, error.detail != "") == ("unauthorized", True)
    with pytest.raises(AcmeProblem):
        ground.ca.finalize(order, facts.der)


def test_an_order_is_finalized_when_it_is_ready(ground: Ground) -> None:
    """Before that it is refused, and lives on."""
    order, facts, _ = opened(ground)
    with pytest.raises(AcmeProblem) as caught:
        ground.ca.finalize(order, facts.der)
    assert (caught.value.kind, caught.value.retry) == ("orderNotReady", Retry.SOON)
    assert ground.ca.order(order.url).status == "pending"


def test_a_csr_for_other_names_is_refused(ground: Ground) -> None:
    """Nothing is signed."""
    order, _, entries = opened(ground)
    _, others, _ = opened(ground)
    with pytest.raises(AcmeProblem):
        ground.ca.finalize(answered(ground, order, entries), others.der)
    assert ground.ca.order(order.url).certificate_url == ""


def test_a_second_answer_is_refused(ground: Ground) -> None:
    """Once the CA has looked; so an attempt that goes on asks first."""
    order, _, entries = opened(ground)
    answered(ground, order, entries)
    with pytest.raises(AcmeProblem):
        ground.ca.answer(entries[0].url)


def test_an_order_that_waits_is_found_again(ground: Ground) -> None:
    """By exactly its names, until it has ended."""
    order, facts, entries = opened(ground, "www", "api")
    found = ground.ca.find_order(facts.names[::-1])
    assert found is not None
    assert (found.url, found.status) == (order.url, "pending")
    assert ground.ca.find_order(facts.names[:1]) is None
    answered(ground, order, [dataclasses.replace(entry, value="wrong") for entry in entries])
    assert ground.ca.find_order(facts.names) is None


def test_an_authorization_is_given_back(ground: Ground) -> None:
    """And is no use to its order any more."""
    order, facts, _ = opened(ground)
    ground.ca.deactivate(order.authorizations[0])
    assert ground.ca.authorization(order.authorizations[0]).status == "deactivated"
    with pytest.raises(AcmeProblem):
        ground.ca.finalize(order, facts.der)


def test_an_unknown_address_is_a_problem(ground: Ground) -> None:
    """Of a certificate it is no end, for the CA has issued it."""
    order, _, _ = opened(ground)
    for ask in (ground.ca.order, ground.ca.authorization, ground.ca.certificate):
        with pytest.raises(AcmeProblem) as caught:
            ask(f"{order.url}x")
        assert caught.value.status == 404
    assert caught.value.retry is Retry.SOON


def test_renewal_information_is_there_if_it_is_offered(ground: Ground) -> None:
    """None from a CA that has none."""
    if ground.ca.offers_renewal_info:
        with pytest.raises(AcmeProblem):
            ground.ca.renewal_info("of.nobody")
    else:
        assert ground.ca.renewal_info("of.nobody") is None


def test_an_account_is_registered_once_it_has_an_address(ground: Ground) -> None:
    """The address stays, and the CA knows it."""
    address = ground.ca.account_url()
    assert (address, ground.ca.registered) == (ground.ca.account_url(), True)
    assert address.startswith("https://")
