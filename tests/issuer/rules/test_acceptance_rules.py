"""Only a certificate for the CSR's key and names, with a chain that verifies and not yet expired, may be stored."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from common.errors import Retry
from issuer.model.errors import AcmeProblem, WrongCertificate
from issuer.model.leaf import leaf_of
from issuer.rules.acceptance import accept
from issuer.rules.csr import read_csr
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAMES = ["www.example.test", "*.example.test"]
ROOT = Authority("Root")
BELOW = ROOT.intermediate("Intermediate")
REQUEST = csr(NAMES)


def refusal(pem: bytes) -> str:
    """Why it must not be stored; its order is over."""
    with pytest.raises(AcmeProblem) as caught:
        accept(pem, read_csr(REQUEST), time.time(), present=None)
    assert "nothing was stored" in caught.value.hint
    assert isinstance(caught.value, WrongCertificate)
    return caught.value.why


def test_what_was_asked_for_is_accepted() -> None:
    """Leaf and chain come back apart."""
    bundle = accept(BELOW.sign(REQUEST).fullchain_pem, read_csr(REQUEST), time.time(), present=None)
    assert bundle.chain_pem == BELOW.pem


def test_a_chain_is_put_right_where_signatures_allow() -> None:
    """An intermediate twice, the leaf again, the wrong order, a root at any place; a right one stays as it is."""
    deep = BELOW.intermediate("Deep")
    leaf = deep.sign(REQUEST).cert_pem
    right = deep.pem + BELOW.pem
    for chain in (right, BELOW.pem + deep.pem, deep.pem * 2 + BELOW.pem, leaf + right, BELOW.pem + right + leaf):
        assert accept(leaf + chain, read_csr(REQUEST), time.time(), present=None).chain_pem == right
    for chain in (right + ROOT.pem, ROOT.pem + BELOW.pem + deep.pem):
        assert accept(leaf + chain, read_csr(REQUEST), time.time(), present=None).chain_pem == right + ROOT.pem


def test_of_cross_signed_twins_the_one_that_leads_further_stays() -> None:
    """Whichever comes first; a certificate of a stranger is still refused."""
    old_root, new_root = Authority("Old Root"), Authority("New Root")
    crossed = new_root.crossed(old_root)  # the key of the new root, certified by the old one
    below = new_root.intermediate("Below")
    leaf = below.sign(REQUEST).cert_pem
    for chain in (below.pem + new_root.pem + crossed, crossed + below.pem + new_root.pem):
        found = accept(leaf + chain + old_root.pem, read_csr(REQUEST), time.time(), present=None).chain_pem
        assert found == below.pem + crossed + old_root.pem
    with pytest.raises(AcmeProblem, match="is not the issuer"):
        accept(leaf + below.pem + Authority("Stranger").pem, read_csr(REQUEST), time.time(), present=None)


def test_the_common_name_is_among_the_names() -> None:
    """A certificate with the alternative names of the CSR alone is refused; the one with all names is accepted."""
    request = csr(["bar.example.org"], common_name="www.example.test")
    now, facts = time.time(), read_csr(request)
    with pytest.raises(AcmeProblem, match=r"its names are bar.example.org, the CSR asks for .*, www.example.test"):
        accept(BELOW.sign(request).fullchain_pem, facts, now, present=None)
    issued = BELOW.sign(request, names=["www.example.test", "bar.example.org"])
    assert accept(issued.fullchain_pem, facts, now, present=None).chain


def test_a_late_clock_is_no_fault_of_the_ca() -> None:
    """A notBefore in our future is stored all the same."""
    issued = BELOW.sign(REQUEST, not_before=datetime.now(UTC) + timedelta(hours=2))
    assert accept(issued.fullchain_pem, read_csr(REQUEST), time.time(), present=None).chain


def test_each_fault_is_named() -> None:
    """Other key, other names, more or fewer names, expired, no chain, a chain in the wrong order or of strangers."""
    good = BELOW.sign(REQUEST)
    other = ROOT.intermediate("Intermediate")  # the same name, another key
    deep = BELOW.intermediate("Deep")
    deep_leaf = deep.sign(REQUEST).cert_pem
    old = BELOW.sign(REQUEST, days=1, not_before=datetime.now(UTC) - timedelta(days=3))
    cases = {
        "its key is not the key of the CSR": BELOW.sign(csr(NAMES, number=1)).fullchain_pem,
        "its names are www.example.test, the CSR asks for": BELOW.sign(csr(NAMES[:1])).fullchain_pem,
        "its names are *.example.test, mail.example.test, www": BELOW.sign(
            csr([*NAMES, "mail.example.test"])
        ).fullchain_pem,
        "it has expired already": old.fullchain_pem,
        "the chain is empty": good.cert_pem,
        "did not sign the one before it": good.cert_pem + other.pem,
        "is not the issuer of the one before it": deep_leaf + other.pem + deep.pem,
        "is not a CA certificate": good.cert_pem + BELOW.sign(csr(["x.test"])).cert_pem,
    }
    for says, pem in cases.items():
        assert says in refusal(pem)


def test_an_interrupted_order_that_another_certificate_has_finished() -> None:
    """Of the same names, where the CA gives both one order: its key alone is another. The CA has done nothing wrong;
    with any other fault it has."""
    for names, kind in ((NAMES, AcmeProblem), (NAMES[:1], WrongCertificate)):
        pem = BELOW.sign(csr(names, number=1)).fullchain_pem
        with pytest.raises(AcmeProblem) as caught:
            accept(pem, read_csr(REQUEST), time.time(), present=None, resumed=True)
        assert (type(caught.value), caught.value.retry) == (kind, Retry.LATER)


def test_every_fault_at_once() -> None:
    """A certificate with several faults is refused with all of them."""
    bad = BELOW.sign(csr(["x.test"], number=1), days=1, not_before=datetime.now(UTC) - timedelta(days=3)).cert_pem
    why = refusal(bad)
    assert all(says in why for says in ("the chain is empty", "its key", "its names", "it has expired"))


def test_the_certificate_that_was_to_be_replaced() -> None:
    """A renewal that brings the very same one is none; another one for the same key is."""
    first, second = BELOW.sign(REQUEST), BELOW.sign(REQUEST)
    for present in (first.cert_pem, first.cert_pem.replace(b"\n", b"\r\n")):
        with pytest.raises(AcmeProblem, match="there already") as caught:
            accept(first.fullchain_pem, read_csr(REQUEST), time.time(), present=leaf_of(present))
        assert caught.value.retry is Retry.LATER
    for other in (first.cert_pem, b"what an old script wrote"):
        assert accept(second.fullchain_pem, read_csr(REQUEST), time.time(), present=leaf_of(other)).leaf_pem


@pytest.mark.parametrize("body", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_asked_for_again(body: bytes) -> None:
    """A page that came in the certificate's place says nothing about the certificate."""
    with pytest.raises(AcmeProblem, match="no certificate") as caught:
        accept(body, read_csr(REQUEST), time.time(), present=None)
    assert caught.value.retry is Retry.SOON
