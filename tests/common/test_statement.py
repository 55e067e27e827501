"""Statements, and who is led from one key of an issuer to the next."""

import dataclasses
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.issuer_key import issuer_key_id, issuer_key_text, parse_issuer_key
from common.statement import (
    _STATEMENT,
    Statement,
    _jws,
    endorsed,
    next_sequence,
    parse_signed,
    signed,
    successor,
    verified,
)

NAME = "www.example.test"
KEYS = [Ed25519PrivateKey.generate() for _ in range(4)]
PUBLIC = [key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key in KEYS]
STATEMENT = Statement(NAME, "a" * 64, ("b.example.test", NAME), "f" * 64, 5, 1_800_000_000, 1_800_000_000, older=True)
LINE = signed(STATEMENT, KEYS[0].sign)


@pytest.mark.parametrize(
    ("previous", "now", "sequence"), [(0, 1000, 1000), (999, 1000, 1000), (1000, 1000, 1001), (5000, 1000, 5001)]
)
def test_a_sequence_only_grows(previous: int, now: int, sequence: int) -> None:
    """With the clock, and also where the clock does not."""
    assert next_sequence(previous, now) == sequence


def test_what_is_signed_is_read() -> None:
    """The same statement comes back."""
    assert verified(LINE, PUBLIC[0]) == STATEMENT


def test_each_change_of_a_line_is_seen() -> None:
    """Any character of it, any field of it, and another key."""
    for place in range(0, len(LINE) - 2, 7):
        changed = LINE[:place] + ("B" if LINE[place] != "B" else "C") + LINE[place + 1 :]
        with pytest.raises(ValueError):
            verified(changed, PUBLIC[0])
    with pytest.raises(ValueError, match="not signed by the issuer's key"):
        verified(LINE, PUBLIC[1])


def test_one_kind_of_text_is_not_taken_for_the_other() -> None:
    """An endorsement is no statement, and a statement endorses nobody, whatever its content is."""
    endorsement = endorsed(PUBLIC[1], KEYS[0].sign)
    with pytest.raises(ValueError, match="not in the form"):
        verified(endorsement, PUBLIC[0])
    as_statement = _jws(_STATEMENT, {"version": 1, "key": issuer_key_text(PUBLIC[1])}, KEYS[0].sign)
    assert successor(PUBLIC[0], [as_statement]) == PUBLIC[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "another version"),
        ({"version": None}, "another version"),
        ({"sequence": "7"}, "wrong type"),
        ({"sequence": True}, "wrong type"),
        ({"sequence": -1}, "wrong type"),
        ({"sequence": 1e99}, "wrong type"),
        ({"sequence": 2**63}, "wrong type"),
        ({"ends": float("inf")}, "wrong type"),
        ({"name": None}, "wrong type"),
        ({"names": NAME}, "wrong type"),
        ({"names": [1]}, "wrong type"),
        ({"older": 1}, "wrong type"),
    ],
)
def test_a_malformed_statement_of_our_own_key(change: dict[str, object], sentence: str) -> None:
    """Signed, and yet no statement: a sentence."""
    document = {"version": 1, **dataclasses.asdict(STATEMENT)} | change
    with pytest.raises(ValueError, match=sentence):
        verified(_jws(_STATEMENT, document, KEYS[0].sign), PUBLIC[0])


def test_from_one_key_to_the_next() -> None:
    """Along signatures alone: from wherever one stands, past what others have signed."""
    chain = [endorsed(PUBLIC[number + 1], KEYS[number].sign) for number in range(2)]
    assert successor(PUBLIC[0], chain) == PUBLIC[2]
    assert successor(PUBLIC[1], chain) == PUBLIC[2]
    assert successor(PUBLIC[2], chain) == PUBLIC[2]
    assert successor(PUBLIC[3], chain) == PUBLIC[3]
    forged = endorsed(PUBLIC[3], KEYS[3].sign)
    assert successor(PUBLIC[0], [forged, "x", chain[0], forged, chain[1]]) == PUBLIC[2]


def test_a_text_has_bounds() -> None:
    """In characters and in endorsements."""
    with pytest.raises(ValueError, match="longer than"):
        parse_signed("x" * 600_000)
    with pytest.raises(ValueError, match="more than 16 endorsements"):
        parse_signed("\n".join([LINE] * 18))
    assert parse_signed(f"{LINE}\nA\nB\n").endorsements == ("A", "B")


def test_the_text_of_a_key() -> None:
    """Comes back as it was, and has a short name."""
    assert parse_issuer_key(issuer_key_text(PUBLIC[0])) == PUBLIC[0]
    assert len(issuer_key_id(PUBLIC[0])) == 16
    assert json.dumps(issuer_key_text(PUBLIC[0])) == f'"{issuer_key_text(PUBLIC[0])}"'  # as TOML has it
