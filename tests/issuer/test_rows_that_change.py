"""Rows that are removed or get another CSR while an issuer has them in hand: what counts is what is enrolled now."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import pytest

from common.certificate import parse_bundle, spki_sha256
from issuer.dns.zones import Zones
from issuer.model.acme import Challenge
from issuer.rules.csr import read_csr
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times

NAME, FIRST = "www.lab.test", "first.lab.test"
NEW = csr([NAME], "ecdsa-p384")


@contextlib.contextmanager
def run_held_at(box: Box, proxy: CaProxy, path: str, *, says: str = "") -> Iterator[None]:
    """A run that waits for the CA's answer to its first request for *path* until the block ends, and then ends well, or
    *says* that it did not."""
    asked, answer = threading.Event(), threading.Event()

    def wait(request: Request) -> Reply | None:
        if path in request.path and not asked.is_set():
            asked.set()
            answer.wait(120)
        return None

    proxy.before.append(wait)
    process = box.start("run")
    assert asked.wait(60)
    yield
    answer.set()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, says in out) == (1 if says else 0, True), out + err


def queued_behind_another(box: Box) -> None:
    """Two certificates that are due, of which a run has read both rows and works at one at a time, NAME last."""
    box.write(acme={"workers": 1})
    for name in (FIRST, NAME):
        box.enrol(name)
    box.database.execute(f"UPDATE certs SET ts_expire = 0 WHERE name = '{FIRST}'")  # noqa: S608


def key_of_the_certificate(box: Box) -> str:
    return spki_sha256(parse_bundle(bytes(box.row(NAME, "crt")[0])).leaf.public_key())


@pytest.mark.soak
def test_a_new_key_before_its_turn(proxied: Box, proxy: CaProxy) -> None:
    """Enrolled anew while a run has the old row: nothing is ordered for the old key, and the next run issues."""
    queued_behind_another(proxied)
    with run_held_at(proxied, proxy, "order-plz"):
        proxied.ok("remove", NAME, "--yes")
        proxied.ok("populate", NAME, "--csr", "-", stdin=NEW)
        proxied.ok("enable", NAME)
    assert proxied.row(NAME, "crt", "count_fail_update") == (None, 0)
    assert proxied.orders(NAME) == []
    proxied.ok("run")
    assert key_of_the_certificate(proxied) == read_csr(NEW).spki_sha256


def test_a_new_key_while_the_ca_signs_for_the_old_one(proxied: Box, proxy: CaProxy) -> None:
    """The certificate is kept with the versions, where it can be revoked, and never handed out; the next run issues."""
    proxied.enrol(NAME)
    with run_held_at(proxied, proxy, "/finalize-order/", says=f"{NAME}: not ordered"):
        proxied.database.execute(f"UPDATE certs SET csr = X'{NEW.hex()}'")  # noqa: S608
    assert proxied.row(NAME, "crt", "count_fail_update") == (None, 0)
    assert proxied.database.query("SELECT COUNT(*) FROM events WHERE event = 'set aside'") == [(1,)]
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]
    proxied.ok("adopt", NAME, "--yes")
    proxied.ok("run")
    assert key_of_the_certificate(proxied) == read_csr(NEW).spki_sha256
    [old] = proxied.database.query("SELECT serial FROM versions ORDER BY id LIMIT 1")
    proxied.ok("revoke", NAME, "--serial", str(old[0]), "--yes")


def test_removed_before_its_turn(proxied: Box, proxy: CaProxy) -> None:
    """Nothing is ordered for it, nothing is left of it, and it is nobody's failure."""
    queued_behind_another(proxied)
    with run_held_at(proxied, proxy, "order-plz"):
        proxied.ok("remove", NAME, "--yes")
    assert proxied.orders(NAME) == []


def left_in_the_middle(box: Box, proxy: CaProxy) -> None:
    """A run ended because the CA was in trouble: the order goes on at the next one, its TXT value is out."""
    box.enrol(NAME)
    proxy.before.append(times(99, "/chalZ/", problem("serverInternal", "later", 500)))
    box.fails("run", says=[f"{NAME}: failed"])
    proxy.before.clear()
    assert [state for state, _ in box.orders()] == ["VISIBLE"]
    assert len(box.txt(NAME)) == 1


def test_deleted_with_an_order_under_way(proxied: Box, proxy: CaProxy) -> None:
    """By an old script: the others are issued, the order is given up and what it had published taken back."""
    left_in_the_middle(proxied, proxy)
    proxied.database.execute("DELETE FROM certs")
    proxied.enrol(FIRST)
    proxied.fails("run", says=[f"{FIRST}: stored", f"{NAME}: gone"])
    assert [state for state, _ in proxied.orders(NAME)] == ["FAILED"]
    assert proxied.txt(NAME) == set()


@pytest.mark.soak
def test_a_damaged_csr_with_an_order_under_way(proxied: Box, proxy: CaProxy) -> None:
    """The run ends it, takes back what it had published and gives its authorization back; `populate --replace`, as the
    error says, helps. What a disabled one is owed: tests/issuer/journey/test_killed.py."""
    left_in_the_middle(proxied, proxy)
    proxied.database.execute("UPDATE certs SET csr = 'x', due_at = NULL")
    proxied.fails("run", says=[f"`populate --replace {NAME} --csr FILE`"])
    assert [state for state, _ in proxied.orders()] == ["FAILED"]
    assert proxied.txt(NAME) == set()
    assert any(request.payload == {"status": "deactivated"} for request in proxy.seen)
    proxied.ok("populate", "--replace", NAME, "--csr", "-", stdin=csr([NAME]))
    assert f"{NAME}: stored" in proxied.ok("run").out
    assert proxied.txt(NAME) == set()


@pytest.mark.soak
def test_a_compromised_key_with_an_order_under_way(proxied: Box, proxy: CaProxy) -> None:
    """Another issuer revoked it while this one was killed: its order is not gone on with, and leaves nothing."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.forget_validations()
    proxy.before.append(times(99, "/chalZ/", problem("serverInternal", "later", 500)))
    proxied.fails("issue", NAME, says=[f"{NAME}: failed"])
    proxy.before.clear()
    proxied.database.execute("UPDATE versions SET revoked = 1")
    proxied.fails("run", "--retry", says=["was revoked as compromised"])
    assert [state for state, _ in proxied.orders()] == ["STORED", "FAILED"]
    assert proxied.txt(NAME) == set()


def test_removed_while_a_person_issues_it(box: Box) -> None:
    """Who removes it needs not wait for the day that a person has; the steps by hand say that there is no order."""
    box.enrol(NAME)
    box.ok("challenges", NAME)
    box.ok("remove", NAME, "--yes")
    box.populate(NAME)
    box.refused("solve", NAME, code=1, says=["no order", f"`challenges {NAME}`"])


def test_remove_while_an_issuer_works_on_it(proxied: Box, proxy: CaProxy) -> None:
    """It is refused, and the run ends as it would have."""
    proxied.enrol(NAME)
    with run_held_at(proxied, proxy, "/finalize-order/"):
        proxied.refused("remove", NAME, "--yes", code=1, says=["under way", "let `certfleet-issuer run` finish"])
    assert [state for state, _ in proxied.orders()] == ["STORED"]


def test_revoked_as_compromised_while_it_is_published(box: Box) -> None:
    """A reissue says why its order was given up, ends with 1, and takes back what it had published."""
    box.enrol(NAME)
    box.ok("run")
    box.forget_validations()
    publish = Zones.publish

    def too_late(zones: Zones, entries: Sequence[Challenge]) -> None:
        revocation = box.start("revoke", NAME, "--reason", "1", "--yes")
        out, err = revocation.communicate(timeout=60)
        assert revocation.returncode == 0, out + err
        publish(zones, entries)

    with patch.object(Zones, "publish", too_late):
        box.fails("reissue", NAME, says=["1 given up", "its key was revoked as compromised"])
    assert box.txt(NAME) == set()
    assert box.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


@pytest.mark.soak
def test_revoked_as_compromised_while_the_next_one_is_downloaded(proxied: Box, proxy: CaProxy) -> None:
    """The run names what was issued for that key all the same, which `revoke` could not list, and the command."""
    proxied.enrol(NAME)
    proxied.ok("run")

    def revoked_first(request: Request) -> Reply | None:
        if "/certZ/" in request.path:
            out, err = proxied.start("revoke", NAME, "--reason", "1", "--yes").communicate(timeout=60)
            assert "revoked" in out, out + err
        return None

    proxy.before.append(revoked_first)
    said = proxied.fails("reissue", NAME, says=["its key was revoked as compromised"]).err
    [(serial,)] = proxied.database.query("SELECT serial FROM versions WHERE revoked IS NULL")
    assert f"`revoke {NAME} --serial {serial} --reason 1`" in said
    proxied.ok("revoke", NAME, "--serial", str(serial), "--reason", "1", "--yes")
