"""The pure rules: probe targets, proofs from looks, back-off, transitions, verification by table."""

import json
import struct
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.model.certificate import TargetFile
from agent.model.errors import InstallError
from agent.model.live_file import LiveFile, digest
from agent.model.offer import Mark, Offer, Staged
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.rules.install_states import InstallState, check_transition
from agent.rules.record import back_off, from_document, to_document
from agent.rules.remedy import remedy
from agent.rules.sandbox import closed, drop_in, lacking
from agent.rules.statement import NO_COLUMN, STATEMENT
from agent.rules.targets import as_left, is_as_wanted, refuse_detours, wanted
from agent.rules.verify import Expectation, InstalledCertificate, verify
from common.certificate import fingerprint, not_after, not_before, parse_bundle, spki_sha256
from common.errors import Finding
from tests.servers.authority import Authority


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


@pytest.mark.parametrize(("until", "lasts"), [(999, False), (1001, True), (87_400, True), (87_401, False)])
def test_a_refusal_of_a_wrong_clock_does_not_count(until: int, lasts: bool) -> None:
    """No refusal lasts longer from now than the longest back-off."""
    assert Refusal(Outcome.FAILED, "", "a", Mark(1, 1), "c", 1, until).lasts("c", 1000) is lasts


@pytest.mark.parametrize(
    ("unsent", "untold"), [(0, False), (90_000, False), (100_001, True), (4000, False), (3600, True)]
)
def test_a_report_of_a_clock_ahead_is_no_fresh_one(unsent: int, untold: bool) -> None:
    """It may be untold for a day; and nobody knows for how long where that moment is still to come."""
    assert Result("www.example.com", unsent=unsent).is_untold(90_000) is untold


WRITTEN = {"/f": f"{digest(b'ours')} 0 33 640"}
INSTALLED = Installed("a", "01", 90 * 86400, Mark(1, 2), {"/f": "d"}, "c", 1, ("i",), by_issuer=True, written=WRITTEN)


def test_a_record_comes_back_as_it_was() -> None:
    """Through its document, which is JSON, and back."""
    refusal = Refusal(Outcome.BROKEN, "why", "a", Mark(1, 2), "c", 3, 4)
    staged = Staged(Mark(3, 4), Offer(b"Schl\xfcssel \0 of anybody", b"", "", None))
    result = Result(
        "www.example.com", Outcome.REFUSED, "detail", "hint", INSTALLED, refusal, 5, unsent=5, staged=staged
    )
    assert asdict(from_document(json.loads(json.dumps(to_document(result))))) == asdict(result)


def test_a_record_of_an_earlier_agent_is_read() -> None:
    """It had no hint, and no facts about life, chain and rights."""
    document = to_document(Result("www.example.com", Outcome.FAILED, "detail", "hint", INSTALLED, since=5))
    del document["hint"]
    for fact in ("not_before", "chain", "by_issuer", "written"):
        del document["installed"][fact]
    installed = replace(INSTALLED, not_before=0, chain=(), by_issuer=False, written={})
    wanted = Result("www.example.com", Outcome.FAILED, "detail", "", installed, since=5)
    assert asdict(from_document(document)) == asdict(wanted)


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


@pytest.mark.parametrize(
    ("line", "shown", "lacks"),
    [
        ("CapabilityBoundingSet=CAP_SYS_CHROOT", ["cap_chown", "cap_kill"], True),
        ("CapabilityBoundingSet=CAP_SYS_CHROOT", ["cap_chown", "cap_sys_chroot"], False),
        ("SystemCallFilter=chroot", [], False),
        ("ReadWritePaths=-/etc/pve", ["-/etc/ssl"], True),
        ("ReadWritePaths=-/etc/pve", ["-/etc/ssl", "/etc/pve"], False),
    ],
)
def test_lines_that_a_unit_lacks(line: str, shown: list[str], *, lacks: bool) -> None:
    """By the words that `systemctl show` has for that property; none where the unit leaves it open."""
    assert lacking([line], {line.partition("=")[0]: shown}) == [line] * lacks


def test_a_drop_in_in_systemds_own_spelling() -> None:
    """A folder that is not there is no error; blanks, quotes, per cent signs and backslashes mean themselves."""
    lines = drop_in([Path("/etc/tls"), Path('/srv/a b/100%/"x"\\')], ["SystemCallFilter=chroot"]).splitlines()
    folders = ['ReadWritePaths="-/etc/tls"', 'ReadWritePaths="-/srv/a b/100%%/\\"x\\"\\\\"']
    assert lines == ["[Service]", *folders, "SystemCallFilter=chroot"]


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([("form", "x")], "`certfleet-issuer reissue '*.example.com'` makes a new one"),
        ([("age", "x"), ("dates", "x")], "if it is 1970-01-01T00:00:05Z, as this host's clock says, `certfleet-issuer"),
        ([("dates", "x"), ("trust", "x")], "if the CA is your own"),
        ([("trust", "x"), (STATEMENT, "x")], "on the issuer `check '*.example.com'` says what is wrong, and `key sign"),
        ([("trust", "x"), (STATEMENT, NO_COLUMN)], "run `certfleet-issuer db upgrade` on the issuer"),
        ([("names", "x"), (STATEMENT, NO_COLUMN)], "say in `names` of agent.toml"),
        ([("names", "x"), ("key", "x")], "put its key in place"),
    ],
)
def test_the_fault_that_another_certificate_would_have_too_goes_first(
    findings: list[tuple[str, str]], expected: str
) -> None:
    """Of several faults one hint is told, for the one that no new certificate mends."""
    assert remedy("*.example.com", [Finding(*each) for each in findings], 5).startswith(expected)
