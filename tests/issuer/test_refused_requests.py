"""Bad signing requests and bad names: refused before anything is changed, with what, why and what to do."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr, private_pem, with_broken_signature

NAME = "www.example.test"


@dataclass(frozen=True)
class Case:
    """A request made only when it is needed, and the words of the refusal."""

    make: Callable[[], bytes]
    says: list[str] = field(default_factory=list)


CASES = {
    "empty": Case(lambda: b" \n", ["it is empty"]),
    "garbage": Case(lambda: b"\x00\xff not a request", ["not a PEM certificate signing request"]),
    "cut off": Case(lambda: csr([NAME])[:200], ["not a PEM certificate signing request"]),
    "damaged": Case(lambda: csr([NAME]).replace(b"MI", b"MJ", 1), ["a damaged one"]),
    "certificate": Case(lambda: csr([NAME]).replace(b"CERTIFICATE REQUEST", b"CERTIFICATE"), ["it is a certificate"]),
    "signature": Case(lambda: with_broken_signature(csr([NAME])), ["its signature does not fit its own key"]),
    "no names": Case(lambda: csr([]), ["it has no names"]),
    "RSA 1024": Case(lambda: csr([NAME], "rsa1024"), ["1024 bits (weak)", "2048, 3072 and 4096"]),
    "P-521": Case(lambda: csr([NAME], "ecdsa-p521"), ["secp521r1", "P-256 and P-384"]),
    "Ed25519": Case(lambda: csr([NAME], "ed25519"), ["neither RSA nor ECDSA"]),
    "must-staple": Case(
        lambda: csr([NAME], extensions=[x509.TLSFeature([x509.TLSFeatureType.status_request])]), ["must-staple"]
    ),
    "CA": Case(lambda: csr([NAME], extensions=[x509.BasicConstraints(ca=True, path_length=None)]), ["to become a CA"]),
    "private key": Case(private_pem, ["holds a private key", "keys stay on their host"]),
    "private key too": Case(lambda: csr([NAME]) + private_pem(), ["holds a private key"]),
    "other name": Case(lambda: csr(["mail.example.test"]), ["is not for www.example.test", "mail.example.test"]),
    "address": Case(lambda: csr([NAME], other_names=[x509.RFC822Name("a@example.test")]), ["such as e-mail addresses"]),
    "dot": Case(lambda: csr([NAME, "mail.example.test."]), ["'mail.example.test.' ends in a dot"]),
    "SHA-224": Case(lambda: csr([NAME], digest=hashes.SHA224()), ["signed with SHA-224"]),
    "malformed name": Case(lambda: csr([NAME, "under_score.example.test"]), ["'under_score'"]),
    "too many names": Case(lambda: csr([NAME, *(f"n{i}.test.example" for i in range(100))]), ["101 names", "100"]),
}


@pytest.mark.sampled
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_bad_request_is_refused(lone_box: Box, case: Case) -> None:
    """`populate` says what is wrong with the request, ends with exit code 1, and enrols nothing."""
    before = lone_box.contents()
    outcome = lone_box.refused("populate", NAME, "--csr", "-", code=1, says=case.says, stdin=case.make())
    assert "standard input" in outcome.err
    assert "PRIVATE KEY" not in outcome.err
    assert lone_box.contents() == before


def test_every_finding_is_told_at_once(lone_box: Box) -> None:
    """One look at the refusal mends them all."""
    bad = csr([NAME, "a_b.example.test"], "rsa1024", extensions=[x509.TLSFeature([x509.TLSFeatureType.status_request])])
    says = ["1024 bits", "'a_b'", "must-staple", "signature"]
    lone_box.refused("populate", NAME, "--csr", "-", code=1, says=says, stdin=with_broken_signature(bad))


def test_what_some_cas_refuse_is_told(lone_box: Box) -> None:
    """The row is enrolled all the same. `check` tells it too."""
    other, wildcard = "mail.example.test", "*.example.test"
    outcome = lone_box.ok("populate", NAME, "--csr", "-", stdin=csr([NAME, wildcard], common_name="foo.example.org"))
    told = ["common name foo.example.org is not among", f"asks for {NAME} and for {wildcard}"]
    assert all(f"warn {NAME}: the CSR" in line for line in outcome.err.splitlines())
    assert all(phrase in outcome.err for phrase in told)
    assert "3 name(s)" in outcome.out
    lone_box.ok("populate", other, "--csr", "-", stdin=csr([other]))
    findings = lone_box.run("check", NAME, other, "--wait", "1s", "--json").report()["findings"]
    warned = [f"{one['subject']}: {one['finding']}" for one in findings if "the CSR" in one["finding"]]
    assert all(phrase in "; ".join(warned) for phrase in told)
    assert not any(line.startswith(other) for line in warned)


def test_a_name_too_long_for_its_record(box: Box) -> None:
    """By dns-01 it is refused at the door and by `zone`; one that another program enrolled is told by `check` and
    fails with the reason, before an order. By http-01 it is a name as any other, and so is one character less."""
    fits = ".".join(["a" * 59, "b" * 59, "c" * 59, "d" * 48, "lab.test"])
    name = f"a{fits}"
    assert len(f"_acme-challenge.{fits}") == 253
    why = "more than the 237 characters that dns-01 leaves to a name"
    for long in (name, f"*.{name}"):
        box.refused("populate", NAME, "--label", "--csr", "-", code=2, says=[why], stdin=csr([long], common_name=""))
        box.refused("zone", long, code=2, says=[why])
    box.ok("populate", fits, "--csr", "-", stdin=csr([fits], common_name=""))
    box.ok("populate", name, "--csr", "-", "--webroot", "/var/www/html", stdin=csr([name], common_name=""))
    box.database.execute("UPDATE certs SET certbot = 'N', webroot_path = NULL, enable = 'Y'")
    box.ok("disable", fits)
    box.ok("adopt", name, "--yes")
    outcome = box.run("check", name, fits, "--wait", "1s")
    [line] = [line for line in outcome.out.splitlines() if why in line]
    assert line.startswith(f"bad  {name}: {name} has {why}; validate it by http-01")
    box.fails("run", says=[f"{name}: failed", why])
    assert box.database.query("SELECT * FROM orders") == []


def test_no_request_at_all(lone_box: Box) -> None:
    """Neither in csr_dir nor under the name that --csr gives."""
    says = [f"{NAME}.csr cannot be read", "No such file", "--csr FILE"]
    lone_box.refused("populate", NAME, code=1, says=says)
    lone_box.refused("populate", NAME, "--csr", "/dev/null", code=1, says=["it is not a regular file"])
    assert lone_box.database.query("SELECT * FROM certs") == []


def test_a_name_that_is_enrolled_already(lone_box: Box) -> None:
    """A second `populate` changes nothing of the first."""
    lone_box.populate(NAME)
    before = lone_box.contents()
    says = [f"{NAME} is enrolled already", f"`status {NAME}`"]
    lone_box.refused("populate", NAME, "--csr", "-", code=1, says=says, stdin=csr([NAME], number=1))
    lone_box.refused("populate", NAME.upper(), "--csr", "-", code=1, says=says, stdin=csr([NAME], number=1))
    assert lone_box.contents() == before


@pytest.mark.parametrize("words", [["run"], ["issue"], ["reissue"], ["status"]], ids=str)
def test_names_that_are_not_enrolled(lone_box: Box, words: list[str]) -> None:
    """Every unknown name is told at once, exit code 2, and the known one beside them is not touched. Commands that go
    on with the others: tests/issuer/test_many_names.py."""
    lone_box.populate(NAME)
    lone_box.write(acme={"account_key": str(lone_box.state_dir / "account.pem")})
    before = lone_box.contents()
    says = ["not enrolled: a.example.test, b.example.test", "populate NAME"]
    lone_box.refused(*words, NAME, "a.example.test", "b.example.test", code=2, says=says)
    assert lone_box.contents() == before


def test_remove_wants_to_be_sure(lone_box: Box) -> None:
    """Without a terminal `remove` refuses unless --yes is given; an unknown name is not enrolled."""
    lone_box.populate(NAME)
    lone_box.refused("remove", "a.example.test", "--yes", code=2, says=["not enrolled: a.example.test"])
    lone_box.refused("remove", NAME, code=2, says=["no terminal", "--yes"])
    assert lone_box.row(NAME, "name") == (NAME,)
    assert "`revoke" not in lone_box.ok("remove", NAME, "--yes").out, "there is nothing to revoke"
    assert lone_box.database.query("SELECT * FROM certs") == []
    assert [event for (event,) in lone_box.database.query("SELECT event FROM events ORDER BY id")][-1] == "removed"


@pytest.mark.parametrize("name", ["localhost", "a..test", "192.0.2.256", "münchen.test", "a-.test", "a" * 64 + ".test"])
def test_a_name_that_cannot_be(lone_box: Box, name: str) -> None:
    """A malformed NAME is wrong usage, before the request is even read."""
    lone_box.refused("populate", name, "--csr", "-", code=2, says=[repr(name)])


def test_what_cannot_be_issued_now(lone_box: Box) -> None:
    """`run` of a disabled name and `reissue` of one without a certificate are refused, and nothing is asked of a CA."""
    lone_box.populate(NAME)
    lone_box.refused("reissue", NAME, code=1, says=["no certificate to replace yet", "`issue`"])
    lone_box.ok("disable", NAME)
    lone_box.refused("run", NAME, code=2, says=[f"disabled: {NAME}", "enable"])
    assert lone_box.database.query("SELECT * FROM orders") == []


def test_a_request_in_the_table_that_went_bad(box: Box) -> None:
    """A row whose CSR was damaged by hand is left out alone, with its reason; the other certificate is stored."""
    names = [box.enrol(NAME), box.enrol("other.example.test")]
    box.database.execute(f"UPDATE certs SET csr = X'00ff' WHERE name = '{NAME}'")  # noqa: S608
    outcome = box.fails(
        "run", says=[f"{NAME}: not ordered", "the CSR in its row has another key", "populate --replace"]
    )
    assert f"{names[1]}: stored" in outcome.out
