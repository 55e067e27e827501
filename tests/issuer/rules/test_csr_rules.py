"""What a request says: facts for those that meet the rules (the refusals are tested through `populate`)."""

import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from issuer.model.csr import md5_modulus
from issuer.rules.csr import CsrRefused, read_csr
from tests.issuer.signing_requests import csr, private_key, with_broken_signature
from tests.servers.process import program

NAME = "www.example.test"


def openssl(*words: str, stdin: bytes) -> bytes:
    command = [program("openssl", "openssl"), *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=20).stdout


def digest(printed: bytes) -> str:
    """The hexadecimal part of what `openssl md5` prints, whatever this version puts before it."""
    return printed.decode().split()[-1]


@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096"])
def test_the_md5_of_a_modulus_is_openssls(kind: str) -> None:
    """`openssl req -noout -modulus | openssl md5` prints the same value."""
    request = csr([NAME], kind)
    asked = digest(openssl("md5", stdin=openssl("req", "-noout", "-modulus", stdin=request)))
    facts = read_csr(request)
    assert (facts.md5_modulus, facts.key_type) == (asked, kind)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384"])
def test_the_md5_of_a_key_without_modulus(kind: str) -> None:
    """For EC keys it is the MD5 of the DER SubjectPublicKeyInfo, as openssl writes that."""
    request = csr([NAME], kind)
    public = openssl("req", "-noout", "-pubkey", stdin=request)
    asked = digest(openssl("md5", stdin=openssl("pkey", "-pubin", "-outform", "DER", stdin=public)))
    assert read_csr(request).md5_modulus == asked
    key = private_key(kind).public_key()
    assert md5_modulus(key) == asked
    assert key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("names", "common_name", "expected"),
    [
        ([NAME], None, (NAME,)),
        ([], NAME, (NAME,)),
        (["WWW.Example.TEST", NAME], None, (NAME,)),
        (["b.example.test", "a.example.test"], "A.example.test", ("b.example.test", "a.example.test")),
        (["example.test", "*.example.test"], "", ("example.test", "*.example.test")),
        (["xn--mnchen-3ya.test"], None, ("xn--mnchen-3ya.test",)),
    ],
)
def test_names_in_the_order_of_the_request(
    names: list[str], common_name: str | None, expected: tuple[str, ...]
) -> None:
    """Alternative names in their order, lower case, each once; the common name only where there are none."""
    assert read_csr(csr(names, common_name=common_name)).names == expected


def test_findings_are_collected() -> None:
    """One refusal carries everything that is wrong."""
    extensions = [x509.TLSFeature([x509.TLSFeatureType.status_request]), x509.BasicConstraints(True, None)]
    bad = with_broken_signature(csr([NAME, "a_b.test"], "rsa1024", common_name="other.test", extensions=extensions))
    with pytest.raises(CsrRefused) as caught:
        read_csr(bad)
    assert len(caught.value.findings) == 6


def test_text_around_the_request_does_no_harm() -> None:
    """`openssl req -text` output before the PEM block is read over."""
    request = csr([NAME])
    assert read_csr(openssl("req", "-text", stdin=request)).pem == read_csr(request).pem
