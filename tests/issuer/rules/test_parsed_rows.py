"""What a row says once its bytes are parsed: a certificate, a request, or why there is none."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from common.certificate import fingerprint, leaf_validity, parse_bundle
from issuer.model.csr import CsrFacts, csr_of
from issuer.model.leaf import Damaged, Leaf, leaf_of
from issuer.rules.csr import CsrRefused, accepted
from tests.issuer.rules.test_renewal_and_retry import enrolment
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAMES = ["www.example.test", "*.example.test"]
CA = Authority("Root").intermediate("The CA")
REQUEST = csr(NAMES)
ISSUED = CA.sign(REQUEST)
RFC_9773 = b"""-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
"""
CUT = ISSUED.cert_pem[: len(ISSUED.cert_pem) // 2]


def test_a_certificate() -> None:
    """Each fact, against the library's own answer."""
    certificate = parse_bundle(ISSUED.cert_pem).leaf
    leaf = leaf_of(ISSUED.fullchain_pem)
    assert isinstance(leaf, Leaf)
    assert (leaf.starts, leaf.ends) == (
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
    )
    assert int(leaf.serial, 16) == certificate.serial_number
    assert (leaf.issuer, leaf.names, leaf.sha256) == ("The CA", frozenset(NAMES), fingerprint(certificate))
    request = csr_of(REQUEST)
    assert isinstance(request, CsrFacts)
    assert (leaf.spki_sha256, leaf.key_type) == (request.spki_sha256, request.key_type)


def test_a_certificate_as_others_leave_it() -> None:
    """In DER, in DER with NULs behind it, in UTF-16, with CR line ends, with a mark before it, within text."""
    der, text = ISSUED.certificate.public_bytes(Encoding.DER), ISSUED.cert_pem.decode()
    left = [text.encode("utf-16"), text.encode("utf-16-be"), text.encode("utf-8-sig"), f"text\n{text}text".encode()]
    for content in (der, der + bytes(300), *left, ISSUED.cert_pem.replace(b"\n", b"\r")):
        assert leaf_of(content) == leaf_of(ISSUED.cert_pem)
        assert leaf_validity(content) == leaf_validity(ISSUED.cert_pem)


def test_the_identifier_of_renewal_information() -> None:
    """The example certificate of RFC 9773, Appendix A, has the identifier that stands there."""
    leaf = leaf_of(RFC_9773)
    assert isinstance(leaf, Leaf)
    assert leaf.ari_id == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


@pytest.mark.parametrize(
    ("crt", "why"),
    [
        (b"what an old script wrote", "there is no certificate in it"),
        (CUT, "a certificate in it is cut off"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate in it cannot be parsed"),
    ],
)
def test_a_damaged_certificate(crt: bytes, why: str) -> None:
    """It is no certificate, and no error either; nothing is known of it."""
    row = enrolment(crt=crt)
    assert row.present == Damaged(why)
    assert row.bundle == Damaged(why)
    assert row.life is None


def test_no_certificate_yet() -> None:
    """An empty cell is not a damaged one."""
    assert enrolment().present is None


def test_a_row_is_parsed_once_and_late() -> None:
    """Who only counts rows pays for no certificate; who asks twice pays once."""
    row = enrolment(csr=REQUEST, crt=ISSUED.cert_pem)
    assert not {"present", "request"} & set(vars(row))
    assert row.life is not None
    assert not {"present", "request"} & set(vars(row))
    assert row.present is row.present
    assert row.request is row.request


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"a text", "it is not a PEM certificate signing request, or a damaged one"),
        (REQUEST + REQUEST, "it holds more than one PEM block; give one CSR alone"),
        (b"-----BEGIN PRIVATE KEY-----", "it holds a private key; keys stay on their host, give the CSR alone"),
    ],
)
def test_a_damaged_request(content: bytes, why: str) -> None:
    """What cannot be parsed says so, and no rule has to look at it."""
    row = enrolment(csr=content)
    assert row.request == Damaged(why)
    with pytest.raises(CsrRefused, match=why):
        accepted(row.request)


def test_a_request_that_a_ca_would_refuse_can_be_read() -> None:
    """Its key and its good names are known: only the rules refuse it."""
    row = enrolment(csr=csr(["www.example.test", "a_b.test"], "rsa1024"))
    assert isinstance(row.request, CsrFacts)
    assert (row.request.names, row.request.key_type) == (("www.example.test",), "rsa1024")
    assert row.key_sha256 == row.request.spki_sha256
    with pytest.raises(CsrRefused) as refusal:
        accepted(row.request)
    assert len(refusal.value.findings) == 2


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        ({"csr": REQUEST}, True),
        ({"csr": b"", "crt": ISSUED.cert_pem}, True),  # an imported one has no CSR
        ({"csr": b"damaged", "crt": ISSUED.cert_pem}, False),  # a certificate of another key may lie beside it
        ({"csr": b"", "crt": CUT}, False),
        ({"csr": b""}, False),
    ],
)
def test_the_key_of_a_row(cells: dict[str, object], *, known: bool) -> None:
    """Of the CSR, or where there is none, of the certificate."""
    leaf = leaf_of(ISSUED.cert_pem)
    assert isinstance(leaf, Leaf)
    assert enrolment(**cells).key_sha256 == (leaf.spki_sha256 if known else "")
