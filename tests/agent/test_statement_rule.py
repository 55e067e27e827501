"""The rule of an offer and the issuer's word on it, by table."""

from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.model.offer import Offer
from agent.model.result import Stated
from agent.rules.statement import OTHER_KEY, Word, dates_count, hear
from common.certificate import fingerprint, not_after, parse_bundle, spki_sha256
from common.statement import MOST_ENDORSEMENTS, Statement, endorsed, signed
from tests.servers.authority import Authority

NAME = "www.example.test"
BUNDLE = parse_bundle(Authority("Root").intermediate("CA").issue([NAME]).fullchain_pem)
SHA256, OTHER = fingerprint(BUNDLE.leaf), "f" * 64
OLD, NEW = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SEQUENCE = 1_800_000_000
KEY = spki_sha256(BUNDLE.leaf.public_key())
GOOD = Statement(NAME, KEY, (NAME,), SHA256, not_after(BUNDLE.leaf), SEQUENCE, SEQUENCE, older=False)


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def stated(sequence: int, sha256: str = SHA256) -> Stated:
    return Stated(sequence, sha256, "pinned")


def heard(text: str | None, before: Stated | None = None, *, key: Ed25519PrivateKey = OLD) -> Word:
    return hear(NAME, Offer(BUNDLE.leaf_pem, BUNDLE.chain_pem, statement=text), BUNDLE, public(key), before)


@pytest.mark.parametrize(
    ("statement", "before", "problems"),
    [
        (GOOD, None, []),
        (GOOD, stated(SEQUENCE - 1, OTHER), []),
        (GOOD, stated(SEQUENCE), []),
        (GOOD, stated(SEQUENCE, OTHER), ["another one with its sequence"]),
        (GOOD, stated(SEQUENCE + 1), ["it is older than one"]),
        (replace(GOOD, older=True), stated(SEQUENCE + 1), ["it is older than one"]),
        (replace(GOOD, name="other.example.test"), None, ["it is about other.example.test"]),
        (replace(GOOD, sha256=OTHER), None, ["it names another certificate"]),
        (replace(GOOD, key=OTHER), None, ["it names another key or other names"]),
        (replace(GOOD, names=(NAME, "x.example.test")), None, ["it names another key or other names"]),
        (
            replace(GOOD, name="other.example.test", sha256=OTHER, sequence=1),
            stated(SEQUENCE),
            ["it is about", "it names another certificate", "it is older than one"],
        ),
    ],
)
def test_a_signed_statement(statement: Statement, before: Stated | None, problems: list[str]) -> None:
    """Every reason at once, or none."""
    word = heard(signed(statement, OLD.sign), before)
    assert word.statement == statement
    assert len(word.findings) == len(problems)
    for finding, problem in zip(word.findings, problems, strict=True):
        assert finding.path == "statement"
        assert problem in finding.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "the database has no statements yet"),
        ("", "there is none for this certificate"),
        ("x", "it is not in the form of such a text; issuer_key is"),
        (signed(GOOD, NEW.sign), "it is not signed by the issuer's key"),
        ("x" * 600_000, "it is longer than"),
        (f"{signed(GOOD, NEW.sign)}\n{endorsed(public(NEW), NEW.sign)}", "it is not signed by the issuer's key"),
    ],
    ids=["no column", "none", "nonsense", "another key", "too long", "endorsed by itself"],
)
def test_no_word_of_the_issuer(text: str | None, problem: str) -> None:
    """One sentence, and no statement; the key that is believed stays."""
    word = heard(text)
    assert (word.statement, word.key) == (None, public(OLD))
    assert [problem in finding.problem for finding in word.findings] == [True]


def test_an_endorsed_key_is_followed() -> None:
    """Then a statement of the old key is none any more, beside the endorsement of the new one."""
    endorsement = endorsed(public(NEW), OLD.sign)
    word = heard(f"{signed(GOOD, NEW.sign)}\n{endorsement}")
    assert (word.key, word.findings) == (public(NEW), ())
    assert heard(f"{signed(GOOD, OLD.sign)}\n{endorsement}").statement is None


@pytest.mark.parametrize("changes", [2, MOST_ENDORSEMENTS])
def test_a_host_that_is_behind(changes: int) -> None:
    """Somebody withholds changes of the key, or puts back what an earlier key has signed: nothing of it is taken by
    who follows the last one, nor by who cannot follow it. The whole chain leads from each key to the last one."""
    keys = [OLD, *(Ed25519PrivateKey.generate() for _ in range(changes))]
    chain = [endorsed(public(new), old.sign) for old, new in pairwise(keys)]
    offers = [signed(replace(GOOD, sequence=SEQUENCE + number), key.sign) for number, key in enumerate(keys)]
    last = "\n".join([offers[-1], *chain])
    for key in keys:
        word = heard(last, key=key)
        assert (word.key, word.findings) == (public(keys[-1]), ())
    for kept in (chain[1:], chain[:-1], [*chain[: changes // 2], *chain[changes // 2 + 1 :]], chain[::-1], []):
        word = heard("\n".join([offers[-1], *kept]))
        assert (word.key, word.statement) == (public(OLD), None)
    for number, offer in enumerate(offers[:-1]):  # replayed, with the chain of that time and with that of today
        for lines in (chain[:number], chain):
            word = heard("\n".join([offer, *lines]), key=keys[-1])
            assert (word.key, word.statement) == (public(keys[-1]), None)


def test_more_changes_than_a_statement_carries() -> None:
    """The oldest endorsement is left out: a host that is further behind is told the key by a person."""
    keys = [OLD, *(Ed25519PrivateKey.generate() for _ in range(MOST_ENDORSEMENTS + 1))]
    chain = [endorsed(public(new), old.sign) for old, new in pairwise(keys)]
    text = "\n".join([signed(GOOD, keys[-1].sign), *chain[-MOST_ENDORSEMENTS:]])
    [finding] = heard(text).findings
    assert finding.path == OTHER_KEY
    assert heard(text, key=keys[1]).findings == ()
    assert heard("\n".join([signed(GOOD, keys[-1].sign), *chain])).statement is None


@pytest.mark.parametrize(
    ("older", "before", "count"),
    [(None, None, True), (False, None, True), (True, None, False), (False, stated(1), False), (True, stated(1), False)],
)
def test_dates_with_a_statement(older: bool | None, before: Stated | None, count: bool) -> None:
    """The sequence decides as soon as one is remembered; before, an older one has to be meant."""
    word = None if older is None else Word(public(OLD), replace(GOOD, older=older))
    assert dates_count(word, before, Offer(b"", b"", went_back_to=""), SHA256, frozenset([SHA256])) is count


@pytest.mark.parametrize(
    ("went_back_to", "known", "count"),
    [(SHA256, {SHA256}, False), (SHA256, {OTHER}, True), (OTHER, {SHA256}, True), ("", {SHA256}, True)],
    ids=["was here", "was never here", "another is meant", "none is meant"],
)
def test_dates_without_one(went_back_to: str, known: set[str], count: bool) -> None:
    """The database may go back to what this host had installed, and to nothing else."""
    assert dates_count(None, None, Offer(b"", b"", went_back_to), SHA256, frozenset(known)) is count
