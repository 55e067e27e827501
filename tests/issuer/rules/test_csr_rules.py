"""What a request says: facts for those that meet the rules (the refusals are tested through `populate`)."""

import subprocess
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.check_line import Level
from issuer.model.csr import md5_modulus
from issuer.rules.csr import CsrRefused, cautions, read_csr
from tests.issuer.rules.test_renewal_and_retry import enrolment
from tests.issuer.signing_requests import csr, private_key, private_pem, signed_by_openssl, with_curve_by_parameters
from tests.servers.authority import Authority
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
        (["bar.example.org"], "Foo.Example.TEST", ("bar.example.org", "foo.example.test")),  # openssl with [alt_names]
        (["a.example.org", "b.example.org"], "*.example.test", ("a.example.org", "b.example.org", "*.example.test")),
    ],
)
def test_names_in_the_order_of_the_request(
    names: list[str], common_name: str | None, expected: tuple[str, ...]
) -> None:
    """Alternative names in their order, lower case, each once, and then the common name if it is none of them."""
    assert read_csr(csr(names, common_name=common_name)).names == expected


@pytest.mark.parametrize(
    "title",
    [
        *("Example Ltd", "www.example.test (test)", "localhost", "192.0.2.1", "under_score.example.test"),
        *("münchen.test", "www2.example.test.", "www2.example.test ", "https://www2.example.test", "a@example.test"),
    ],
)
def test_a_common_name_that_is_no_name(title: str) -> None:
    """It is a title: not ordered, no reason to refuse, and told, because some CAs refuse it."""
    facts = read_csr(csr([NAME], common_name=title))
    assert facts.names == (NAME,)
    [caution] = cautions(NAME, facts)
    assert repr(title) in caution.sentence


@pytest.mark.parametrize(("first", "told"), [("Example Ltd", 1), ("first.example.test", 1), (NAME.upper(), 0)])
def test_the_last_common_name_counts(first: str, told: int) -> None:
    """It is the most specific one (RFC 2818). Whoever wrote another name there too is told that it gets none."""
    key = private_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one) for one in (first, NAME)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    facts = read_csr(request.public_bytes(Encoding.PEM))
    assert facts.names == (NAME,)
    assert sum(f"{first!r} does not count" in caution.sentence for caution in cautions(NAME, facts)) == told


def test_an_exponent_that_lets_encrypt_refuses() -> None:
    """Boulder's goodkey takes 65537 alone."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    key = rsa.generate_private_key(3, 2048)
    names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
    builder = x509.CertificateSigningRequestBuilder(name).add_extension(names, critical=False)
    [caution] = cautions(NAME, read_csr(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)))
    assert "the exponent 3" in caution.sentence


def test_what_some_cas_refuse_is_told() -> None:
    """A common name beside the alternative names, and a name beside the wildcard that covers it."""
    assert cautions(NAME, read_csr(csr([NAME, "*.example.org", "a.b.example.org", "example.org"]))) == []
    [line] = cautions(NAME, read_csr(csr(["bar.example.org"], common_name=NAME)))
    assert (line.level, line.subject) == (Level.WARN, NAME)
    assert NAME in line.sentence
    assert "all names among its alternative names" in line.hint
    [line] = cautions(NAME, read_csr(csr(["*.example.test", NAME, "example.test"], common_name="")))
    assert f"{NAME} and for *.example.test" in line.sentence


@pytest.mark.parametrize("common_name", ["", None])
@pytest.mark.parametrize("name", ["www.example.test.", "www.example.test ", " www.example.test", "*.example.test."])
def test_nothing_stands_at_the_ends_of_a_name(name: str, common_name: str | None) -> None:
    """A CA refuses to finalize with it, so it is refused before anything is asked of one."""
    with pytest.raises(CsrRefused) as caught:
        read_csr(csr([NAME, name], common_name=common_name))
    [finding] = caught.value.findings
    assert repr(name) in finding
    assert ("ends in a dot" if name.endswith(".") else "blank at its ends") in finding


@pytest.mark.parametrize(("digest", "says"), [("sha1", "SHA-1"), ("md5", "MD5"), ("sha224", "SHA-224")])
def test_a_digest_that_cas_refuse(digest: str, says: str, tmp_path: Path) -> None:
    """It is refused by its name. Nothing is said of its signature, which the library cannot check."""
    with pytest.raises(CsrRefused) as caught:
        read_csr(signed_by_openssl(digest, NAME, tmp_path))
    [finding] = caught.value.findings
    assert f"signed with {says};" in finding


def test_a_key_in_a_form_that_cas_do_not_read(tmp_path: Path) -> None:
    """A curve by its parameters in place of its name (RFC 5480 §2.1.1): its signature holds, and no CA parses it."""
    with pytest.raises(CsrRefused, match=r"in a form that CAs do not read|of a type that no public CA accepts"):
        read_csr(with_curve_by_parameters(NAME, tmp_path))


@pytest.mark.parametrize("behind", [b"\0\0", b"\n", b" \r\n"])
def test_der_with_something_behind(behind: bytes) -> None:
    """A column of fixed width leaves NULs, an editor a line end; what else stands there belongs to no request."""
    der = x509.load_pem_x509_csr(csr([NAME])).public_bytes(Encoding.DER)
    assert read_csr(der + behind).names == (NAME,)
    with pytest.raises(CsrRefused):
        read_csr(der + behind + b"x")


def test_paddings_and_digests() -> None:
    """RSA-PSS is refused by its name, SHA-3 by its number; what CAs take is taken."""
    for request, says in (
        (csr([NAME], "rsa2048", pss=True), "signed with RSA-PSS;"),
        (csr([NAME], "ecdsa-p256", digest=hashes.SHA224()), "signed with SHA-224;"),
        (csr([NAME], "rsa2048", digest=hashes.SHA3_256()), "signed with the algorithm 2.16.840.1.101.3.4.3.14;"),
    ):
        with pytest.raises(CsrRefused, match=says) as caught:
            read_csr(request)
        assert len(caught.value.findings) == 1
    for kind in ("rsa2048", "ecdsa-p384"):
        for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
            assert read_csr(csr([NAME], kind, digest=digest)).names == (NAME,)


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ip_network(text) if "/" in text else ip_address(text))


def test_addresses_are_names() -> None:
    """Alone, beside names, and in the form of RFC 5952."""
    facts = read_csr(csr([], other_names=[address("192.0.2.7"), address("2001:DB8:0:0::1")]))
    assert facts.names == ("192.0.2.7", "2001:db8::1")
    assert cautions(NAME, facts) == []
    assert read_csr(csr([NAME], other_names=[address("192.0.2.7")])).names == (NAME, "192.0.2.7")


def test_an_address_in_the_wrong_place() -> None:
    """As a DNS name CAs refuse it; as a common name some do, and it is no DNS name."""
    with pytest.raises(CsrRefused, match="is an IP address or ends in a number"):
        read_csr(csr([NAME, "192.0.2.7"]))
    with pytest.raises(CsrRefused, match="neither DNS names nor IP addresses"):
        read_csr(csr([NAME], other_names=[address("192.0.2.0/24")]))
    facts = read_csr(csr([], common_name="192.0.2.7", other_names=[address("192.0.2.7")]))
    assert facts.names == ("192.0.2.7",)
    [caution] = cautions(NAME, facts)
    assert "'192.0.2.7' is not a DNS name" in caution.sentence


AS_LEFT_BY: dict[str, Callable[[bytes], bytes]] = {
    "openssl -text": lambda request: openssl("req", "-text", stdin=request),
    "a mail": lambda request: "Gr\u00fc\u00dfe,\r\n".encode("latin-1") + request + b"\n-- \nnoc\n",
    "DER": lambda request: openssl("req", "-outform", "DER", stdin=request),
    "DER in a column of fixed width": lambda request: openssl("req", "-outform", "DER", stdin=request) + bytes(300),
    "UTF-16 by a Windows editor": lambda request: request.decode().replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without a mark": lambda request: request.decode().encode("utf-16-le"),
    "UTF-16, the other way round": lambda request: request.decode().encode("utf-16-be"),
    "UTF-8 with a mark": lambda request: request.decode().encode("utf-8-sig"),
    "CR LF": lambda request: request.replace(b"\n", b"\r\n"),
    "CR": lambda request: request.replace(b"\n", b"\r"),
    "one line": lambda request: request.replace(b"\n", b" "),
    "blanks": lambda request: b" \n" + request.replace(b"\n", b" \n") + b"\n\n ",
    "empty lines": lambda request: request.replace(b"\n", b"\r\n\r\n"),
    "line ends of a shell": lambda request: request.replace(b"\n", rb"\n"),
    "line ends of JSON": lambda request: b'"' + request.replace(b"\n", rb"\r\n") + b'"',
    "an old label": lambda request: request.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
}


@pytest.mark.parametrize("leave", AS_LEFT_BY.values(), ids=AS_LEFT_BY)
def test_a_request_as_others_leave_it(leave: Callable[[bytes], bytes]) -> None:
    """The same facts, in a file and in a column alike, and the same PEM to store."""
    request = csr([NAME])
    left = leave(request)
    assert left != request
    assert read_csr(left) == read_csr(request)
    assert enrolment(csr=left).request == read_csr(request)


def test_a_request_without_its_first_and_last_line() -> None:
    """As a web form or a column of its own may have it."""
    bare = b"\n".join(csr([NAME]).splitlines()[1:-1])
    for left in (bare, bare.replace(b"\n", b"")):
        with pytest.raises(CsrRefused, match="lacks the lines -----BEGIN CERTIFICATE REQUEST-----"):
            read_csr(left)


@pytest.mark.parametrize("encode", [lambda text: text, lambda text: text.decode().encode("utf-16")])
def test_other_things_are_told_by_their_name(encode: Callable[[bytes], bytes]) -> None:
    """A certificate, a public key, a private key, each in PEM and in DER."""
    public = openssl("pkey", "-pubout", stdin=private_pem())
    certificate = Authority("CA").pem
    for pem, command, says in (
        (certificate, "x509", "it is a certificate, not"),
        (public, "pkey -pubin", "it is a public key, not"),
        (private_pem(), "pkey", "it holds a private key"),
    ):
        for content in (encode(pem), openssl(*command.split(), "-outform", "DER", stdin=pem)):
            with pytest.raises(CsrRefused, match=says):
                read_csr(content)
