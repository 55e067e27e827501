"""What probe targets mean, and what looks at sockets prove."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent.rules.evidence import Proof, Sight, foreseen, is_as_before, judge, was_down, with_neighbours
from common.probe.target import EapLogin, parse_target
from common.probe.view import Seen


@pytest.mark.parametrize(
    ("text", "host", "port", "server_name", "connect"),
    [
        ("https://www.example.com", "www.example.com", 443, "www.example.com", ("www.example.com", 443)),
        ("https://www.example.com:8443/", "www.example.com", 8443, "www.example.com", ("www.example.com", 8443)),
        ("imaps://mx.example.com", "mx.example.com", 993, "mx.example.com", ("mx.example.com", 993)),
        ("ldaps://d.example.com", "d.example.com", 636, "d.example.com", ("d.example.com", 636)),
        ("pop3s://d.example.com", "d.example.com", 995, "d.example.com", ("d.example.com", 995)),
        ("smtps://d.example.com", "d.example.com", 465, "d.example.com", ("d.example.com", 465)),
        ("tls://127.0.0.1:99", "127.0.0.1", 99, "", ("127.0.0.1", 99)),
        ("https://localhost:99", "localhost", 99, "", ("localhost", 99)),
        ("https://[::1]:99", "::1", 99, "", ("::1", 99)),
        ("https://w.example.com?connect=127.0.0.1", "w.example.com", 443, "w.example.com", ("127.0.0.1", 443)),
        ("https://w.example.com?connect=127.0.0.1:99", "w.example.com", 443, "w.example.com", ("127.0.0.1", 99)),
        ("https://w.example.com:8?connect=::1", "w.example.com", 8, "w.example.com", ("::1", 8)),
        ("https://w.example.com?connect=[::1]:99", "w.example.com", 443, "w.example.com", ("::1", 99)),
        ("smtp://mx.example.com", "mx.example.com", 25, "mx.example.com", ("mx.example.com", 25)),
        ("submission://mx.example.com", "mx.example.com", 587, "mx.example.com", ("mx.example.com", 587)),
        ("lmtp://mx.example.com", "mx.example.com", 24, "mx.example.com", ("mx.example.com", 24)),
        ("imap://mx.example.com:99", "mx.example.com", 99, "mx.example.com", ("mx.example.com", 99)),
        ("sieve://mx.example.com", "mx.example.com", 4190, "mx.example.com", ("mx.example.com", 4190)),
        ("ldap://127.0.0.1", "127.0.0.1", 389, "", ("127.0.0.1", 389)),
        ("postgres://d.example.com", "d.example.com", 5432, "d.example.com", ("d.example.com", 5432)),
        ("radsec://r.example.com", "r.example.com", 2083, "r.example.com", ("r.example.com", 2083)),
        ("ftps://f.example.com", "f.example.com", 990, "f.example.com", ("f.example.com", 990)),
        ("radius://r.example.com?secret_file=/s", "r.example.com", 1812, "r.example.com", ("r.example.com", 1812)),
        ("https://w.example.com?proxy=v2&connect=::1", "w.example.com", 443, "w.example.com", ("::1", 443)),
        ("https://w.example.com.", "w.example.com", 443, "w.example.com", ("w.example.com.", 443)),
        (
            "https://münchen.example",
            "xn--mnchen-3ya.example",
            443,
            "xn--mnchen-3ya.example",
            ("xn--mnchen-3ya.example", 443),
        ),
    ],
)
def test_targets(text: str, host: str, port: int, server_name: str, connect: tuple[str, int]) -> None:
    """Each form, with its default port and the name to ask for, in the form that certificates have."""
    target = parse_target(text)
    assert (target.host, target.port, target.server_name) == (host, port, server_name)
    assert (target.connect_host, target.connect_port) == connect


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("www.example.com", "is not a probe target"),
        ("gopher://d", "smtp://"),
        ("tls://host", "needs a port"),
        ("https://", "is not a probe target"),
        ("https://.", "is not a probe target"),
        (f"https://{'ä' * 64}.example", "is not a probe target"),
        ("https://host/path", "nothing behind it"),
        ("https://user@host", "nothing behind it"),
        ("https://host:0x", "is not a probe target"),
        ("https://host?connect=", "connect= must be"),
        ("https://host?to=1.2.3.4", "the only options"),
        ("https://host?connect", "connect= must be"),
        ("https://host?connect=1.2.3.4&connect=5.6.7.8", "the only options"),
        ("https://host?proxy=v3", "v1 or v2"),
        ("https://host?proxy=", "v1 or v2"),
        ("https://host?connect=1.2.3.4:port", "connect= must be"),
        ("https://host?secret_file=/s", "the only options are ?connect"),
        ("radius://host", "needs the secret that the server shares with this host: secret_file=/PATH"),
        ("radius://host?secret_file=", "needs the secret"),
        ("radius://host?secret_file=s", "needs the secret"),
        ("radius://host?secret_file=/s&method=md5", "method= must be one of peap, ttls, tls"),
        ("radius://host?secret_file=/s&method=", "method= must be"),
        ("radius://host?secret_file=/s&identity=", "identity= must be"),
        ("radius://host?secret_file=/s&identity=a%0Ab", "identity= must be"),
        (f"radius://host?secret_file=/s&identity={'ä' * 127}", "at most 253 bytes"),
        ("radius://host?secret_file=/s&proxy=v2", "the only options are ?secret_file"),
        ("radius://host?secret_file=/s&secret_file=/s", "the only options are ?secret_file"),
    ],
)
def test_targets_that_cannot_be_meant(text: str, sentence: str) -> None:
    """A sentence for each."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_target(text)


def test_a_login_at_a_radius_server() -> None:
    """Its options, with what stands for them; a + in a name is a +."""
    assert parse_target("radius://h?secret_file=/s").login == EapLogin(Path("/s"), "anonymous", "")
    full = parse_target("radius://h:99?method=ttls&identity=a+b@example.com&secret_file=/a%26b&connect=::1")
    assert full.login == EapLogin(Path("/a&b"), "a+b@example.com", "ttls")
    assert (full.port, full.connect_host, full.connect_port) == (99, "::1", 99)


def test_a_secret_in_a_target_is_not_repeated() -> None:
    """The sentence says where it belongs."""
    with pytest.raises(ValueError, match="into a file of its own") as caught:
        parse_target("radius://host?secret=testing123&connect=::1")
    assert "testing123" not in str(caught.value)


def sight(seen: str, sha256: str = "", address: str = "1", target: str = "t", *, shared: bool = False) -> Sight:
    return Sight(target, address, Seen(seen), "why" if seen != "served" else "", sha256, shared=shared)


NEW, OLD = sight("served", "new"), sight("served", "old")


DOWN, UNKNOWN, NO_TLS = sight("down"), sight("unknown"), sight("no-tls")


# something is there, and its certificate cannot be asked for: the type of the key, in TLS 1.3; a silent RADIUS server
LISTENS = replace(UNKNOWN, listens=True)


# at a socket of another certificate for the same service
BESIDE = sight("served", "theirs", target="u")


NO_ROUTE, NO_NAME = sight("unknown", address="2"), sight("unknown", address="t")


# two addresses of one name, neither of which is this host's
NEW_1, OLD_1, OTHER_1, DOWN_1 = (
    sight(seen, leaf, shared=True)
    for seen, leaf in (("served", "new"), ("served", "old"), ("served", "other"), ("down", ""))
)


NEW_2, OLD_2, OTHER_2, DOWN_2 = (replace(one, address="2") for one in (NEW_1, OLD_1, OTHER_1, DOWN_1))


@pytest.mark.parametrize(
    ("sights", "before", "proof"),
    [
        ([], [], Proof.NOTHING_TO_ASK),
        ([NEW], [], Proof.PROVEN),
        ([NEW], [OLD], Proof.PROVEN),
        ([NEW, sight("served", "old", "2")], [], Proof.WRONG),
        ([OLD], [], Proof.WRONG),
        ([DOWN], [], Proof.DOWN),
        ([DOWN], [DOWN], Proof.DOWN),
        ([DOWN], [OLD], Proof.WRONG),
        ([UNKNOWN], [], Proof.UNKNOWN),
        ([UNKNOWN], [OLD], Proof.WRONG),
        ([NEW, sight("down", address="2")], [], Proof.PROVEN),
        ([NEW, sight("down", address="2")], [OLD, sight("served", "old", "2")], Proof.WRONG),
        ([NEW, sight("down", target="u")], [], Proof.DOWN),
        ([NEW, sight("unknown", target="u")], [], Proof.UNKNOWN),
        ([sight("down", target="u"), sight("unknown", target="v"), OLD], [], Proof.WRONG),
        ([NO_TLS], [], Proof.DOWN),
        ([NO_TLS], [OLD], Proof.WRONG),
        ([NO_TLS, NEW], [], Proof.PROVEN),
        ([NO_NAME], [OLD], Proof.WRONG),  # the name has no address any more
        ([NO_NAME, sight("served", "new", target="u")], [OLD], Proof.WRONG),
        ([NO_NAME], [NO_NAME], Proof.UNKNOWN),
        ([NO_NAME], [DOWN], Proof.UNKNOWN),
        ([NEW, NO_ROUTE], [OLD, NO_ROUTE], Proof.PROVEN),
        ([DOWN, NO_ROUTE], [DOWN, NO_ROUTE], Proof.DOWN),
        ([NEW_1, OLD_2], [OLD_1, OLD_2], Proof.PROVEN),  # the other host has not got it yet
        ([NEW_1, OTHER_2], [OLD_1, OTHER_2], Proof.PROVEN),
        ([NEW_1, DOWN_2], [OLD_1, OLD_2], Proof.PROVEN),
        ([OLD_1, OTHER_2], [OLD_1, OTHER_2], Proof.WRONG),  # none of them has it
        ([DOWN_1, DOWN_2], [OLD_1, OLD_2], Proof.WRONG),
        ([DOWN_1, OTHER_2], [OLD_1, OTHER_2], Proof.WRONG),
        ([DOWN_1, DOWN_2], [DOWN_1, DOWN_2], Proof.DOWN),
        ([LISTENS], [LISTENS], Proof.UNKNOWN),
        ([NEW], [LISTENS], Proof.PROVEN),
        ([LISTENS], [DOWN], Proof.UNKNOWN),
        ([LISTENS], [OLD], Proof.WRONG),
        ([DOWN], [LISTENS], Proof.WRONG),
        ([NO_TLS], [LISTENS], Proof.WRONG),
        ([UNKNOWN], [LISTENS], Proof.WRONG),
        ([NO_NAME], [LISTENS], Proof.WRONG),
        ([NEW, sight("down", target="u")], [OLD, replace(LISTENS, target="u")], Proof.WRONG),
        ([LISTENS, sight("down", address="2")], [LISTENS, replace(LISTENS, address="2")], Proof.WRONG),
        ([LISTENS, sight("down", address="2")], [LISTENS, sight("down", address="2")], Proof.DOWN),
        ([NO_TLS], [NO_TLS], Proof.DOWN),
        ([DOWN], [NO_TLS], Proof.WRONG),
        ([LISTENS], [NO_TLS], Proof.UNKNOWN),
    ],
)
def test_what_looks_prove(sights: list[Sight], before: list[Sight], proof: Proof) -> None:
    """An address that never answered proves nothing and harms nothing; one that answers no more is wrong, also where
    nobody could say what it showed before."""
    assert judge(sights, "new", before).proof is proof


@pytest.mark.parametrize(
    ("sights", "before", "proof"),
    [
        ([OLD], [OLD], Proof.PROVEN),
        ([NEW], [OLD], Proof.WRONG),
        ([DOWN], [OLD], Proof.WRONG),
        ([], [OLD], Proof.WRONG),
        ([DOWN], [DOWN], Proof.NOTHING_TO_ASK),
        ([NEW], [DOWN], Proof.NOTHING_TO_ASK),
        ([NO_TLS], [OLD], Proof.WRONG),
        ([NO_NAME], [OLD], Proof.WRONG),
        ([OLD_1, NEW_2], [OLD_1, OLD_2], Proof.PROVEN),  # the other host has a new one meanwhile
        ([OLD_1], [OLD_1, OLD_2], Proof.PROVEN),
        ([NEW_1, OTHER_2], [OLD_1, OLD_2], Proof.WRONG),
        ([NEW_1, OTHER_2], [DOWN_1, OTHER_2], Proof.PROVEN),
        ([DOWN_1, replace(OLD_2, seen=Seen.NO_TLS)], [OLD_1, replace(OLD_2, seen=Seen.NO_TLS)], Proof.WRONG),
        ([LISTENS], [LISTENS], Proof.UNKNOWN),
        ([NEW], [LISTENS], Proof.UNKNOWN),
        ([DOWN], [LISTENS], Proof.WRONG),
        ([NO_TLS], [LISTENS], Proof.WRONG),
        ([], [LISTENS], Proof.WRONG),
        ([NO_TLS], [NO_TLS], Proof.UNKNOWN),
        ([DOWN], [NO_TLS], Proof.WRONG),
        ([OLD, sight("down", target="u")], [OLD, replace(LISTENS, target="u")], Proof.WRONG),
        ([OLD, replace(LISTENS, target="u")], [OLD, replace(LISTENS, target="u")], Proof.PROVEN),
        ([LISTENS], [OLD], Proof.WRONG),
    ],
)
def test_what_is_as_before(sights: list[Sight], before: list[Sight], proof: Proof) -> None:
    """Only what was there before can have been harmed; where it was a certificate, it is the same one again."""
    assert is_as_before(sights, before).proof is proof


SHOWN = Sight("t", "1", Seen.SERVED, "", "new", chain=("i", "x"))


@pytest.mark.parametrize(
    ("sights", "chain", "proof"),
    [
        ([SHOWN], ["i"], Proof.PROVEN),  # more than is needed does no harm
        ([SHOWN], ["i", "j"], Proof.INCOMPLETE),
        ([NEW], ["i"], Proof.INCOMPLETE),
        ([NEW], [], Proof.PROVEN),
        ([SHOWN, sight("served", "new", "2")], ["i"], Proof.INCOMPLETE),
        ([NEW, sight("unknown", target="u")], ["i"], Proof.INCOMPLETE),
        ([NEW, sight("served", "old", "2")], ["i"], Proof.WRONG),
        ([OLD], ["i"], Proof.WRONG),
    ],
)
def test_a_chain_is_to_be_shown(sights: list[Sight], chain: list[str], proof: Proof) -> None:
    """Each socket shows every certificate of the chain beside the leaf, in any order."""
    assert judge(sights, "new", chain=chain).proof is proof


@pytest.mark.parametrize(
    ("before", "by_hand", "coming", "proof"),
    [
        ([], [], [], Proof.NOTHING_TO_ASK),
        ([OLD], [], [], Proof.PROVEN),
        ([NO_TLS], [], [], Proof.DOWN),
        ([NO_TLS], [], ["t"], Proof.PROVEN),
        ([DOWN], [], ["t"], Proof.PROVEN),
        ([UNKNOWN], [], ["t"], Proof.UNKNOWN),
        ([OLD, sight("no-tls", target="u")], [], ["t"], Proof.DOWN),
        ([OLD], ["t"], ["t"], Proof.PENDING),
    ],
)
def test_what_an_install_would_prove(before: list[Sight], by_hand: list[str], coming: list[str], proof: Proof) -> None:
    """A socket that shows one now will show the new one; a silent one only where something makes it speak."""
    assert foreseen(before, "new", ["i"], by_hand, coming).proof is proof


@pytest.mark.parametrize(
    ("sights", "neighbours", "proof"),
    [
        ([NEW], [], Proof.PROVEN),
        ([NEW, BESIDE], [BESIDE], Proof.PROVEN),
        ([NEW, replace(BESIDE, sha256="another")], [BESIDE], Proof.PROVEN),
        ([NEW, replace(LISTENS, target="u")], [BESIDE], Proof.PROVEN),
        ([NEW, BESIDE], [replace(LISTENS, target="u")], Proof.PROVEN),
        ([NEW, sight("down", target="u")], [BESIDE], Proof.WRONG),
        ([NEW, sight("no-tls", target="u")], [BESIDE], Proof.WRONG),
        ([NEW, sight("down", target="u")], [replace(LISTENS, target="u")], Proof.WRONG),
        ([NEW, sight("no-tls", target="u")], [sight("no-tls", target="u")], Proof.PROVEN),
        ([OLD, BESIDE], [BESIDE], Proof.WRONG),
        ([BESIDE], [BESIDE], Proof.NOTHING_TO_ASK),
        ([sight("down", target="u")], [BESIDE], Proof.WRONG),
    ],
)
def test_what_is_beside(sights: list[Sight], neighbours: list[Sight], proof: Proof) -> None:
    """A socket of another certificate for the same service has to go on showing one, whichever."""
    assert with_neighbours(sights, lambda own: judge(own, "new"), neighbours).proof is proof


def test_a_loss_beside_is_told_after_the_own() -> None:
    """Both sentences, and whose socket it is."""
    found = with_neighbours([OLD, sight("down", target="u")], lambda own: judge(own, "new"), [BESIDE])
    beside = "u, where the same service has another certificate, answers no more: why"
    assert found.detail == f"t (1) shows another certificate (old…); {beside}"
    assert found.others == (OLD,)


def test_was_down() -> None:
    """Asked, and nothing listened; unknown is not down, nor is what answers without TLS, and nothing asked is nothing
    known. Of a name with two addresses it is enough to have asked one: a host without IPv6 can ask no other."""
    assert was_down([DOWN])
    assert was_down([DOWN, NO_ROUTE])
    assert not was_down([DOWN, replace(NO_TLS, address="2")])
    assert not was_down([DOWN, sight("unknown", target="u")])
    assert not was_down([])
    assert not was_down([UNKNOWN])
    assert not was_down([DOWN, OLD])
