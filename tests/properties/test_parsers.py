"""Whatever a person, a file or a CA hands in: a parser answers with a value or with its own error, never another."""

import contextlib
import json
import string
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.ocsp import load_der_ocsp_response
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.settings.config import AgentSettings
from common.certificate import PARSE_ERRORS, leaf_validity, parse_bundle
from common.clock import duration_text, parse_duration
from common.config import parse
from common.database_url import parse_database_url
from common.errors import CertfleetError, ConfigError
from common.issuer_key import parse_issuer_key
from common.names import covers, parse_dns_name
from common.probe import hello
from common.probe.target import parse_target
from common.revocation import Revocation, Status, crl, ocsp
from common.statement import _ENDORSEMENT, _STATEMENT, _jws, parse_signed, successor, verified
from issuer.ca.answers import AcmeAnswer, authorization_of, order_of, renewal_info_of
from issuer.ca.transport import retry_after
from issuer.ca.words import problem
from issuer.dns.servers import parse_server
from issuer.dns.write.tsig import load_tsig_key
from issuer.model.acme import CaIdentity
from issuer.model.config import Settings
from issuer.model.csr import csr_of
from issuer.model.errors import AcmeProblem, DnsError
from issuer.model.leaf import Damaged, leaf_of
from issuer.model.limits import parse_limit
from issuer.rules.csr import CsrRefused, accepted, read_csr
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.revocation import response, revocation_list

WORDS = st.text(max_size=30) | st.sampled_from(["\ud800", "https://ca.example/", "https://ca.example/\x1b", "x" * 9999])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
ORDER_KEYS = ("status", "authorizations", "finalize", "certificate", "error", "identifiers", "challenges", "identifier")
ACME_OBJECT = st.dictionaries(st.sampled_from([*ORDER_KEYS, "suggestedWindow", "explanationURL"]), JSON)
LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20)
DAY = 86400
CA = Authority("Test CA")
GOOD = CA.issue(["www.example.com"]).fullchain_pem
OF_CA, NOW = x509.load_pem_x509_certificate(GOOD), time.time()
A_LIST, A_RESPONSE = revocation_list(CA), response(CA, OF_CA)
LIST = A_LIST, x509.load_der_x509_crl(A_LIST).tbs_certlist_bytes
RESPONSE = A_RESPONSE, load_der_ocsp_response(A_RESPONSE).tbs_response_bytes


SIGNER = Ed25519PrivateKey.generate()
ISSUER_KEY = SIGNER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
FIELDS = ("version", "name", "key", "names", "sha256", "ends", "sequence", "moment", "older")
PART = st.text(string.ascii_letters + string.digits + "-_=+/. \n", max_size=40)


@given(st.text(max_size=300) | st.lists(st.sampled_from([_STATEMENT, _ENDORSEMENT]) | PART, max_size=5).map(".".join))
def test_a_text_that_nobody_signed(text: str) -> None:
    """No statement, and nobody is led to another key."""
    with contextlib.suppress(ValueError):
        found = parse_signed(text)
        assert successor(ISSUER_KEY, found.endorsements) == ISSUER_KEY
        with pytest.raises(ValueError):
            verified(found.line, ISSUER_KEY)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(1)))
def test_a_statement_of_any_content(document: dict[str, Any]) -> None:
    """Signed by our own key: a statement whose every field is of its type, or a ValueError."""
    with contextlib.suppress(ValueError):
        line = _jws(_STATEMENT, {"version": 1} | document, SIGNER.sign)
        found = verified(line, ISSUER_KEY)
        assert min(found.ends, found.sequence, found.moment) >= 0
        assert all(isinstance(name, str) for name in found.names)


@given(st.text(max_size=60))
def test_the_text_of_an_issuers_key(text: str) -> None:
    """32 octets, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert len(parse_issuer_key(text)) == 32


@given(st.text(max_size=80))
def test_names(text: str) -> None:
    """A name is in canonical form afterwards, and parsing it again changes nothing."""
    with contextlib.suppress(ValueError):
        name = parse_dns_name(text)
        assert parse_dns_name(name) == name
        assert name == name.lower()


@given(LABEL, LABEL)
def test_wildcards_cover_exactly_one_label(first: str, second: str) -> None:
    """*.example.com covers a.example.com and neither example.com nor a.b.example.com."""
    assert covers("*.example.com", f"{first}.example.com")
    assert not covers("*.example.com", f"{first}.{second}.example.com")
    assert not covers("*.example.com", "example.com")


@given(st.text(max_size=20))
def test_durations(text: str) -> None:
    """Seconds or ValueError; what people are shown is never empty."""
    with contextlib.suppress(ValueError):
        assert duration_text(parse_duration(text))


@given(
    st.dictionaries(st.text(max_size=20) | st.sampled_from(["dns", "acme", "database", "renewal", "state_dir"]), JSON)
)
def test_issuer_configuration(document: dict[str, Any]) -> None:
    """A document is settings or a ConfigError that names at least one finding."""
    try:
        parse(Settings, document, "issuer.toml")
    except ConfigError as error:
        assert error.findings


@given(st.dictionaries(st.text(max_size=20) | st.sampled_from(["source", "certificate", "state_dir"]), JSON))
def test_agent_configuration(document: dict[str, Any]) -> None:
    """The same for the agent's."""
    try:
        parse(AgentSettings, document, "agent.toml")
    except ConfigError as error:
        assert error.findings


@given(st.binary(max_size=300))
def test_garbage_as_csr_and_certificate(content: bytes) -> None:
    """Garbage is refused with findings."""
    with pytest.raises(CsrRefused):
        read_csr(content)
    for read in (parse_bundle, leaf_validity):
        with pytest.raises(ValueError, match="certificate"):
            read(content)


@settings(max_examples=100)
@given(st.integers(0, 2000), st.integers(0, 255))
def test_damaged_certificate(position: int, value: int) -> None:
    """One octet of a good one changed: facts or damage, and reading only the dates finds the same dates or none."""
    damaged = bytearray(GOOD)
    damaged[position % len(damaged)] = value
    leaf = leaf_of(bytes(damaged))
    with contextlib.suppress(ValueError):
        dates = leaf_validity(bytes(damaged))
        assert isinstance(leaf, Damaged) or dates == (leaf.starts, leaf.ends)


@settings(max_examples=60)
@given(st.integers(0, 2000), st.integers(0, 255))
def test_damaged_csr(position: int, value: int) -> None:
    """One octet of a good CSR changed: facts or a refusal, nothing else."""
    good = bytearray(csr(["www.example.com"]))
    good[position % len(good)] = value
    with contextlib.suppress(CsrRefused):
        assert accepted(csr_of(bytes(good))).names


@given(st.text(max_size=60), st.floats(0, 4e9))
def test_retry_after(value: str, now: float) -> None:
    """A moment or None, for any header."""
    moment = retry_after(value, now)
    assert moment is None or isinstance(moment, float | int)


@given(ACME_OBJECT)
def test_answers_of_a_ca(document: dict[str, Any]) -> None:
    """Any JSON object is an order, an authorization and a window, or an AcmeProblem; text can be shown and stored, and
    URLs can be asked."""
    answer = AcmeAnswer("https://ca.example/1", "", (), json.dumps(document).encode(), None)
    with contextlib.suppress(AcmeProblem):
        order = order_of(answer.url, answer)
        assert order.status.isprintable()
        assert all(url.startswith("https://") for url in (*order.authorizations, order.finalize_url) if url)
    with contextlib.suppress(AcmeProblem):
        authorization = authorization_of(answer.url, document, CaIdentity("https://ca.example/dir", (), ""))
        assert authorization.identifier.isprintable()
        assert all(item.type.isprintable() for item in authorization.challenges)
    with contextlib.suppress(AcmeProblem):
        info = renewal_info_of(answer)
        assert info.start <= info.end


@given(st.dictionaries(st.sampled_from(["type", "detail", "title", "subproblems", "instance"]), JSON))
def test_problem_documents(document: dict[str, Any]) -> None:
    """What is shown to people is one printable line of bounded length."""
    told = problem(document)
    assert told.detail.isprintable()
    assert len(told.detail) <= 1000
    assert told.kind == "" or told.kind.isalpha()
    assert told.url.isprintable()


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: f"mysql+pymysql://{rest}"))
def test_database_addresses(url: str) -> None:
    """An address or ValueError; a password is never accepted, and never repeated."""
    with contextlib.suppress(ValueError):
        parse_database_url(url)
    try:
        parse_database_url(f"mysql://user:topsecret@{url}/db")
    except ValueError as error:
        assert "topsecret" not in str(error)
    else:
        pytest.fail("a password in the url was accepted")


@given(st.text("0123456789.:[]", max_size=30))
def test_server_addresses(text: str) -> None:
    """Servers with a sane port, or an error. No letters: those would be asked of a resolver."""
    with contextlib.suppress(ValueError, DnsError):
        for server in parse_server(text):
            assert 0 < server.port < 65536


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: f"https://{rest}"))
def test_probe_targets(text: str) -> None:
    """A target or ValueError."""
    with contextlib.suppress(ValueError):
        parse_target(text)


@given(st.binary(max_size=200))
def test_messages_of_tls(body: bytes) -> None:
    """A value or ValueError, whatever a server sends."""
    for read in (hello.server_hello, hello.certificates, hello.certificates_1_3, hello.status):
        with contextlib.suppress(ValueError):
            read(body)


@given(st.binary(max_size=200) | st.tuples(st.integers(0, 400), st.integers(0, 255)))
def test_words_about_revocation(content: bytes | tuple[int, int]) -> None:
    """Bytes that are no list and no response, or a sound one with a signed byte changed: never good, and no error but
    our own."""
    for sound, signed_part, judge in ((*LIST, _by_list), (*RESPONSE, partial(ocsp.judge, source="x"))):
        changed = content if isinstance(content, bytes) else _changed(sound, signed_part, *content)
        if changed != sound:
            assert judge(changed, leaf=OF_CA, issuer=CA.certificate, now=NOW).status is Status.UNKNOWN


def _by_list(content: bytes, **given: Any) -> Revocation:
    try:
        found = crl.RevocationList(content)
    except PARSE_ERRORS as error:
        return crl.no_list("x", error)
    return crl.judge(found, source=crl.Source("http://c.example.test", frozenset()), **given)


def _changed(sound: bytes, signed_part: bytes, place: int, value: int) -> bytes:
    place = sound.index(signed_part) + place % len(signed_part)
    return sound[:place] + bytes((value,)) + sound[place + 1 :]


@given(st.text(max_size=120))
def test_tsig_key_files(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """A key or ConfigError, whose sentence never holds the secret."""
    file: Path = tmp_path_factory.getbasetemp() / "tsig.key"
    file.write_text(f'key "k" {{ algorithm hmac-sha256; secret "{text}"; }};', encoding="utf-8", errors="replace")
    file.chmod(0o600)
    try:
        load_tsig_key(file)
    except CertfleetError as error:
        assert len(text) < 8 or text not in str(error)


@given(st.text(max_size=20))
def test_limits(text: str) -> None:
    """A limit or ValueError."""
    with contextlib.suppress(ValueError):
        assert parse_limit(text).seconds >= 0
