"""The pure rules: probe targets, proofs from looks, back-off, transitions, verification by table."""

import json
import re
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.model.certificate import TargetFile
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile, digest
from agent.model.offer import Mark, Offer
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.rules.evidence import Proof, Sight, foreseen, is_as_before, judge, was_down
from agent.rules.install_states import InstallState, check_transition
from agent.rules.record import back_off, from_document, to_document
from agent.rules.sandbox import closed, drop_in
from agent.rules.targets import as_left, is_as_wanted, refuse_detours, wanted
from agent.rules.verify import Expectation, InstalledCertificate, verify
from common.certificate import fingerprint, not_after, not_before, parse_bundle, spki_sha256
from common.probe.target import EapLogin, parse_target
from common.probe.view import Seen
from tests.servers.authority import Authority


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
    ],
)
def test_targets(text: str, host: str, port: int, server_name: str, connect: tuple[str, int]) -> None:
    """Each form, with its default port and the name to ask for."""
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
    ],
)
def test_what_looks_prove(sights: list[Sight], before: list[Sight], proof: Proof) -> None:
    """An address that never answered proves nothing and harms nothing; one that answers no more is wrong."""
    assert judge(sights, "new", before).proof is proof


@pytest.mark.parametrize(
    ("sights", "before", "proof"),
    [
        ([OLD], [OLD], Proof.PROVEN),
        ([NEW], [OLD], Proof.WRONG),
        ([DOWN], [OLD], Proof.WRONG),
        ([], [OLD], Proof.WRONG),
        ([DOWN], [DOWN], Proof.PROVEN),
        ([NEW], [DOWN], Proof.PROVEN),
        ([NO_TLS], [OLD], Proof.WRONG),
        ([NO_NAME], [OLD], Proof.WRONG),
        ([OLD_1, NEW_2], [OLD_1, OLD_2], Proof.PROVEN),  # the other host has a new one meanwhile
        ([OLD_1], [OLD_1, OLD_2], Proof.PROVEN),
        ([NEW_1, OTHER_2], [OLD_1, OLD_2], Proof.WRONG),
        ([NEW_1, OTHER_2], [DOWN_1, OTHER_2], Proof.PROVEN),
    ],
)
def test_what_is_as_before(sights: list[Sight], before: list[Sight], proof: Proof) -> None:
    """Only what served before can have been harmed."""
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


def test_the_back_off_grows_for_the_same_certificate_only() -> None:
    """One hour, six hours, a day; a new certificate starts anew."""
    refusal = None
    waits = []
    for _ in range(4):
        attempts, until = back_off(refusal, "a", 1000)
        refusal = Refusal(Outcome.FAILED, "", "a", Mark(1, 1), "", attempts, until)
        waits.append(until - 1000)
    assert waits == [3600, 21600, 86400, 86400]
    assert back_off(refusal, "b", 1000) == (1, 4600)


@pytest.mark.parametrize(("until", "holds"), [(999, False), (1001, True), (87_400, True), (87_401, False)])
def test_a_refusal_of_a_wrong_clock_holds_nothing(until: int, holds: bool) -> None:
    """No refusal lasts longer from now than the longest back-off."""
    assert Refusal(Outcome.FAILED, "", "a", Mark(1, 1), "c", 1, until).holds("c", 1000) is holds


WRITTEN = {"/f": f"{digest(b'ours')} 0 33 640"}
INSTALLED = Installed("a", "01", 90 * 86400, Mark(1, 2), {"/f": "d"}, "c", 1, ("i",), by_issuer=True, written=WRITTEN)


def test_a_record_comes_back_as_it_was() -> None:
    """Through its document, which is JSON, and back."""
    refusal = Refusal(Outcome.BROKEN, "why", "a", Mark(1, 2), "c", 3, 4)
    result = Result("www.example.com", Outcome.REFUSED, "detail", "hint", INSTALLED, refusal, 5, unsent=5)
    assert from_document(json.loads(json.dumps(to_document(result)))) == result


def test_a_report_that_waits_since_an_earlier_agent() -> None:
    """That agent wrote whether it waits, and not since when: since the last change."""
    document = to_document(Result("www.example.com", Outcome.FAILED, since=5)) | {"unsent": True}
    assert from_document(document).unsent == 5


def test_a_record_of_an_earlier_agent_is_read() -> None:
    """It had no hint, and no facts about life, chain and rights."""
    document = to_document(Result("www.example.com", Outcome.FAILED, "detail", "hint", INSTALLED, since=5))
    del document["hint"]
    for fact in ("not_before", "chain", "by_issuer", "written"):
        del document["installed"][fact]
    installed = replace(INSTALLED, not_before=0, chain=(), by_issuer=False, written={})
    assert from_document(document) == Result("www.example.com", Outcome.FAILED, "detail", "", installed, since=5)


@pytest.mark.parametrize(("cell", "number"), [(7, 7), ("7", 7), (None, 0), ("x", 0), (b"x", 0), (float("inf"), 0)])
def test_a_cell_without_a_number_is_no_news(cell: object, number: int) -> None:
    """It counts as 0 and stops no other row."""
    assert Mark.of_cells(cell, cell) == Mark(number, number)
    assert Offer.of_cells("a", None) == Offer(b"a", b"")


PARTS = {"certificate": b"C", "chain": b"H", "key": b"K"}


def access(*named: tuple[int, int, int], group: int) -> bytes:
    """A list in the form of the kernel, with *named* users and groups; the mask is rw-."""
    entries = [(1, 6, NOBODY), (4, group, NOBODY), *named, (16, 6, NOBODY), (32, 0, NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


NOBODY = 2**32 - 1
GAMES, WEB, NEWS = (2, 5, 5), (8, 4, 33), (2, 4, 9)
LABEL = {"security.selinux": b"x"}
KEPT = {"system.posix_acl_access": access(GAMES, WEB, group=4), **LABEL}
MORE = {"system.posix_acl_access": access(GAMES, NEWS, group=4)}
LESS = {"system.posix_acl_access": access(NEWS, group=4)}
BOTH = access(GAMES, WEB, group=0)


@pytest.mark.parametrize(
    ("parts", "mode", "live", "expected"),
    [
        ("CH", None, None, LiveFile(b"CH", 0o644, 8, -1, None)),
        ("KC", None, None, LiveFile(b"KC", 0o600, 8, -1)),
        ("KC", 0o640, None, LiveFile(b"KC", 0o640, 8, -1)),
        ("C", None, LiveFile(b"", 0o640, 1, 2, KEPT), LiveFile(b"C", 0o640, 8, 2, KEPT)),
        ("K", None, LiveFile(b"", 0o644, 1, 2, KEPT), LiveFile(b"K", 0o640, 8, 2, KEPT)),
        ("C", 0o600, LiveFile(b"", 0o644, 1, 2, KEPT), LiveFile(b"C", 0o600, 8, 2, KEPT)),
        ("K", 0o600, LiveFile(b"", 0o640, 1, 2, KEPT), LiveFile(b"K", 0o600, 8, 2, LABEL)),
        ("K", None, LiveFile(b"", 0o660, 1, 2, KEPT, BOTH), LiveFile(b"K", 0o640, 8, 2, LABEL)),
        ("K", None, LiveFile(b"", 0o640, 1, 2, MORE, BOTH), LiveFile(b"K", 0o640, 8, 2, LESS)),
        ("C", None, LiveFile(b"", 0o640, 1, 2, KEPT, BOTH), LiveFile(b"C", 0o640, 8, 2, KEPT)),
    ],
)
def test_a_target_becomes(parts: str, mode: int | None, live: LiveFile | None, expected: LiveFile) -> None:
    """As configured, else as it was, else safe: a file with a key is never open to everybody, nor to those whom a list
    of its folder, or a list beside a configured mode, names."""
    names = {"C": "certificate", "H": "chain", "K": "key"}
    file = TargetFile(Path("/f"), tuple(names[part] for part in parts), mode=mode)
    found = wanted(file, live, (8, -1), b"".join(PARTS[part] for part in file.parts))
    assert found == expected
    assert not is_as_wanted(live, found)
    assert is_as_wanted(LiveFile(found.content, found.mode, 8, 5), LiveFile(found.content, found.mode, 8, -1))


@pytest.mark.parametrize(
    ("parts", "content", "exchangeable", "was", "left"),
    [
        ("key", b"his", True, INSTALLED, True),
        ("key", b"his", False, INSTALLED, False),
        ("certificate", b"his", True, INSTALLED, False),
        ("key", b"his", True, None, False),
        ("key", b"his", True, replace(INSTALLED, written={}), False),
        ("key", b"ours", True, INSTALLED, False),
    ],
)
def test_rights_of_a_file_in_the_place_of_ours(
    parts: str, content: bytes, was: Installed | None, *, exchangeable: bool, left: bool
) -> None:
    """Where others can put one, and a key goes there, the last install knows better; a file of ours is ours."""
    live = LiveFile(content, 0o644, 5, 60, KEPT, exchangeable=exchangeable)
    found = as_left(TargetFile(Path("/f"), (parts,)), live, was)
    assert found == (LiveFile(content, 0o640, 0, 33) if left else live)


@pytest.mark.parametrize("real", ["/etc/key", "/state/records/x", "/live/other"])
def test_a_detour_is_refused(real: str) -> None:
    """A target that leads to a key, into the state folder, or to another target's file."""
    targets = {Path("/live/a"): Path("/live/other"), Path("/live/b"): Path(real)}
    with pytest.raises(InstallError, match=f"/live/b leads to {real}"):
        refuse_detours(targets, [Path("/etc/key"), Path("/state")])


@pytest.mark.parametrize("now", list(InstallState))
def test_unlisted_transitions_are_faults_of_ours(now: InstallState) -> None:
    """Nothing follows a commit, and nothing goes back to the beginning."""
    with pytest.raises(RuntimeError):
        check_transition(now, InstallState.BACKED_UP)
    if now is InstallState.COMMITTED:
        for then in InstallState:
            with pytest.raises(RuntimeError):
                check_transition(now, then)


ROOT_CA = Authority("Root")
CA = ROOT_CA.intermediate("Intermediate")
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("minutes", "issued_later_minutes", "kinds"),
    [
        (0, 0, []),
        (-61, 0, []),  # ends earlier, but was not issued earlier: a move to a shorter lifetime
        (-61, -59, []),  # within an hour: equal
        (-61, 61, []),
        (-59, -61, []),
        (61, -61, []),  # issued earlier, but ends later: bought before, taken into use now
        (-61, -61, ["age"]),
        (-20000, -600, ["age"]),
    ],
)
def test_age(minutes: int, issued_later_minutes: int, kinds: list[str]) -> None:
    """Not older than what is installed: issued before it and ending before it; an hour is no difference."""
    installed = parse_bundle(CA.issue(["a.test"], days=30, not_before=NOW - timedelta(days=1)).cert_pem).leaf
    start = NOW - timedelta(days=1) + timedelta(minutes=issued_later_minutes)
    end = NOW + timedelta(days=29, minutes=minutes)
    offered = CA.issue(["a.test"], days=(end - start) / timedelta(days=1), not_before=start)
    bundle = parse_bundle(offered.cert_pem, offered.chain_pem)
    held = InstalledCertificate(fingerprint(installed), not_before(installed), not_after(installed))
    expected = Expectation(spki_sha256(bundle.leaf.public_key()), frozenset({"a.test"}), held)
    assert [finding.path for finding in verify(bundle, expected, NOW.timestamp())] == kinds


@pytest.mark.parametrize(
    ("offered", "wanted", "fits"),
    [
        (["a.test"], {"a.test"}, True),
        (["*.a.test"], {"www.a.test"}, True),
        (["*.a.test"], {"a.test"}, False),
        (["*.a.test", "a.test"], {"*.a.test", "a.test"}, True),
        (["*.a.test"], {"x.y.a.test"}, False),
        (["a.test", "b.test"], {"a.test"}, True),
        (["a.test", "192.0.2.7", "2001:db8::7"], {"a.test", "192.0.2.7", "2001:db8::7"}, True),
        (["192.0.2.7"], {"192.0.2.8"}, False),
    ],
)
def test_names(offered: list[str], wanted: set[str], fits: bool) -> None:
    """Each name wanted is covered; a wildcard stands for one label."""
    issued = CA.issue(offered)
    bundle = parse_bundle(issued.cert_pem, issued.chain_pem)
    expected = Expectation(spki_sha256(bundle.leaf.public_key()), frozenset(wanted))
    assert (verify(bundle, expected, NOW.timestamp()) == []) is fits


def test_the_moment_decides() -> None:
    """Not yet valid and expired are findings, at the given moment and not at the clock's."""
    issued = CA.issue(["a.test"])
    bundle = parse_bundle(issued.cert_pem, issued.chain_pem)
    expected = Expectation(spki_sha256(bundle.leaf.public_key()), frozenset({"a.test"}))
    assert verify(bundle, expected, not_after(bundle.leaf) - 1) == []
    assert "expired on" in str(verify(bundle, expected, not_after(bundle.leaf))[0])
    assert "is not valid before" in str(verify(bundle, expected, not_before(bundle.leaf) - 1)[0])


@pytest.mark.parametrize(
    ("protect_system", "writable", "folder", "is_closed"),
    [
        ("strict", ["/etc/ssl"], "/etc/ssl/certs", False),
        ("strict", ["/etc/ssl"], "/etc/ssl", False),
        ("strict", ["/etc/ssl"], "/etc/sslx", True),
        ("strict", [], "/srv", True),
        ("full", [], "/srv", False),
        ("full", [], "/etc/haproxy", True),
        ("full", ["/etc/haproxy"], "/etc/haproxy/certs", False),
        ("yes", [], "/usr/local/etc", True),
        ("yes", [], "/etc/haproxy", False),
        ("no", [], "/usr", False),
        ("", [], "/usr", False),
    ],
)
def test_folders_that_a_unit_closes(protect_system: str, writable: list[str], folder: str, *, is_closed: bool) -> None:
    """What systemd.exec(5) says of ProtectSystem= and ReadWritePaths=."""
    assert closed([Path(folder)], protect_system, map(Path, writable)) == [Path(folder)] * is_closed


def test_a_drop_in_in_systemds_own_spelling() -> None:
    """A folder that is not there is no error; blanks, quotes, per cent signs and backslashes mean themselves."""
    lines = drop_in([Path("/etc/tls"), Path('/srv/a b/100%/"x"\\')], ["SystemCallFilter=chroot"]).splitlines()
    folders = ['ReadWritePaths="-/etc/tls"', 'ReadWritePaths="-/srv/a b/100%%/\\"x\\"\\\\"']
    assert lines == ["[Service]", *folders, "SystemCallFilter=chroot"]
