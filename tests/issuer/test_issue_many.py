"""Many certificates in one run, against a CA that behaves as Pebble does by itself."""

from pathlib import Path

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.bind import Bind
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble

COUNT = 15


def enrolled(box: Box, names: list[str]) -> list[str]:
    """All of them populated and enabled, each with its own sub-zone."""
    assert box.bind is not None
    box.add_zone(*names)
    box.bind.reconfigure()
    for name in names:
        box.ok("populate", name, "--csr", "-", stdin=csr([name]))
    box.ok("enable", *names)
    return names


def test_many_certificates_in_one_run_at_the_first_try(tmp_path: Path) -> None:
    """With refused nonces, random delays and reused authorizations all are stored, and none takes a second order."""
    with (
        Bind(tmp_path / "bind", notify_delay=5) as bind,
        Pebble(tmp_path / "pebble", bind.endpoint, nosleep=None, nonce_reject=None, authz_reuse=None) as pebble,
    ):
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=pebble)
        box.set_up()
        names = enrolled(box, [f"w{number}.example.test" for number in range(COUNT)])
        endings = box.ok("run", "--json").report()["certificates"]
        assert {ending["name"]: ending["ending"] for ending in endings} == dict.fromkeys(names, "stored")
        assert box.database.query("SELECT SUM(count_fail_update), COUNT(crt) FROM certs") == [(0, COUNT)]
        assert [state for state, _ in box.orders()] == ["STORED"] * COUNT
        assert box.database.query("SELECT COUNT(*) FROM events WHERE event = 'failed'") == [(0,)]
        assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
        assert [box.txt(name) for name in names] == [set()] * COUNT
        # a second round has reused authorizations for about half of the orders
        box.ok("reissue", *names)
        assert box.database.query("SELECT SUM(count_fail_update), COUNT(old_crt) FROM certs") == [(0, COUNT)]
        assert len(box.orders()) == 2 * COUNT


def test_an_authorization_that_is_valid_already_is_not_answered(tmp_path: Path) -> None:
    """Where the CA reuses one name's authorization only the other name gets a challenge."""
    with Bind(tmp_path / "bind") as bind, Pebble(tmp_path / "pebble", bind.endpoint, authz_reuse=100) as pebble:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=pebble)
        box.set_up()
        first, second = "a.example.test", "b.example.test"
        box.enrol(first)
        box.ok("run")
        before = bind.serial(f"_acme-challenge.{first}")
        box.enrol(second, first)
        box.ok("run")
        assert box.row(second, "count_fail_update", "last_error") == (0, None)
        assert bind.serial(f"_acme-challenge.{first}") == before
        assert bind.serial(f"_acme-challenge.{second}") == 3  # one update in, one out


def test_named_certificates_only(box: Box) -> None:
    """`run NAME` does what is due among the named ones and leaves the others alone."""
    names = enrolled(box, ["a.example.test", "b.example.test", "c.example.test"])
    box.ok("run", names[0], names[2])
    assert [box.row(name, "crt")[0] is not None for name in names] == [True, False, True]


def test_two_certificates_that_share_a_challenge_name(box: Box, lab: Lab) -> None:
    """Two labels for one domain publish at one owner at the same time: each takes back its own value only."""
    lab.bind.dynamic_zone("_acme-challenge.www.example.test", "acme")
    lab.bind.reconfigure()
    for label in ("one", "two"):
        box.ok("populate", label, "--label", "--csr", "-", stdin=csr(["www.example.test"], number=len(label)))
    box.ok("enable", "one", "two")
    box.ok("run")
    assert box.database.query("SELECT count_fail_update, crt IS NULL FROM certs") == [(0, 0), (0, 0)]
    assert box.txt("www.example.test") == set()


def test_many_names_in_one_certificate(box: Box) -> None:
    """Twenty names in twenty sub-zones make one certificate."""
    names = [f"n{number}.example.test" for number in range(20)]
    name = box.enrol(*names)
    box.ok("run")
    assert len(box.orders()) == 1
    assert box.row(name, "count_fail_update") == (0,)
    assert [box.txt(each) for each in names] == [set()] * 20
