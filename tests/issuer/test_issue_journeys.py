"""From a CSR to a stored certificate, by the real commands against a real name server and a real ACME server."""

import hashlib
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.certificate import chain_faults, parse_bundle
from common.clock import utc_text
from tests.issuer.box import Box
from tests.issuer.signing_requests import KEY_TYPES, csr, private_key
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble


def certificate(box: Box, name: str) -> x509.Certificate:
    """The leaf in the table, whose chain has to verify."""
    crt, ca = box.row(name, "crt", "ca")
    bundle = parse_bundle(crt, ca)
    assert not chain_faults(bundle)
    return bundle.leaf


def names_of(leaf: x509.Certificate) -> set[str]:
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(alternative.get_values_for_type(x509.DNSName))


@pytest.mark.sampled
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_every_key_type_gets_a_certificate_for_its_own_key(box: Box, kind: str) -> None:
    """RSA 2048 and 4096, ECDSA P-256 and P-384: the certificate carries the CSR's key and its names."""
    name = box.enrol("www.example.test", kind=kind)
    outcome = box.ok("run")
    assert f"{name}: stored" in outcome.out
    leaf = certificate(box, name)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert leaf.public_key().public_bytes(*spki) == private_key(kind).public_key().public_bytes(*spki)
    assert names_of(leaf) == {name}
    assert box.txt(name) == set()
    assert box.database.query("SELECT * FROM challenges") == []


def test_the_columns_of_a_new_certificate(server_box: Box, lab: Lab) -> None:
    """After the first certificate every column of the row says what the old scripts expect of it."""
    name = server_box.enrol("www.example.test")
    assert server_box.row(name, "enable", "certbot", "ts_expire", "ts_last_update", "count_fail_update") == (
        *("Y", "N", 1, 1),
        0,
    )
    before = int(time.time())
    server_box.ok("run")
    crt, ca, md5_ca, ts_expire, ts_last_update = server_box.row(
        name, "crt", "ca", "md5_ca", "ts_expire", "ts_last_update"
    )
    leaf = x509.load_pem_x509_certificate(crt)
    assert crt.count(b"BEGIN CERTIFICATE") == 1
    assert md5_ca == hashlib.md5(ca).hexdigest()  # noqa: S324 - what the column is
    assert x509.load_pem_x509_certificates(ca)[-1].issuer == x509.load_pem_x509_certificate(lab.pebble.root()).subject
    assert ts_expire == leaf.not_valid_after_utc.timestamp()
    assert before <= ts_last_update <= time.time()
    assert server_box.row(name, "count_fail_update", "last_error", "reissue_reason", "old_crt", "old_ca") == (
        *(0, None, None),
        *(None, None),
    )
    [(due_at,)] = server_box.database.query("SELECT due_at FROM certs")
    assert time.time() + 50 * 86400 < due_at < ts_expire
    [(state, active, lease)] = server_box.database.query("SELECT state, active_name, lease_owner FROM orders")
    assert (state, active, lease) == ("STORED", None, None)


def test_a_wildcard_and_its_apex_in_one_csr(server_box: Box) -> None:
    """Both names want a TXT value at the same owner; both are published together, and taken back."""
    name = server_box.enrol("shop.example.test", "*.shop.example.test")
    server_box.ok("run")
    assert names_of(certificate(server_box, name)) == {"shop.example.test", "*.shop.example.test"}
    assert server_box.txt(name) == set()


def test_a_wildcard_may_be_the_name(box: Box) -> None:
    """A certificate for a wildcard alone is enrolled under its own name."""
    name = box.enrol("*.shop.example.test")
    box.ok("run", name)
    assert names_of(certificate(box, name)) == {"*.shop.example.test"}


def test_several_names_in_several_sub_zones_with_a_key_each(box: Box, lab: Lab) -> None:
    """Each challenge of one CSR goes to its own sub-zone, signed with that zone's own TSIG key, SHA-512 included."""
    names = ["a.example.test", "b.example.test", "deep.c.example.org"]
    zones = []
    for name, algorithm in zip(names, ("hmac-sha256", "hmac-sha512", "hmac-sha384"), strict=True):
        key = lab.bind.tsig_key(f"key-{name}", algorithm)
        lab.bind.dynamic_zone(f"_acme-challenge.{name}", f"key-{name}")
        zones.append({"name": name, "tsig_key_file": str(key)})
    lab.bind.reconfigure()
    box.write(dns={"zone": zones, "tsig_key_file": ""})
    box.populate(*names)
    box.ok("run")
    assert names_of(certificate(box, names[0])) == set(names)
    assert [box.txt(name) for name in names] == [set(), set(), set()]
    assert [lab.bind.serial(f"_acme-challenge.{name}") for name in names] == [3, 3, 3]  # one update in, one out


def test_a_challenge_name_inside_a_larger_dynamic_zone(box: Box, lab: Lab) -> None:
    """The zone may be the domain's own instead of a sub-zone: only the granted challenge name is written."""
    lab.bind.dynamic_zone("example.test", "acme", ["_acme-challenge.www.example.test"], records=["www A 127.0.0.1"])
    lab.bind.reconfigure()
    name = box.populate("www.example.test")
    box.ok("run")
    assert names_of(certificate(box, name)) == {name}
    assert box.txt(name) == set()


def test_values_of_others_at_the_same_name_are_left_alone(box: Box, lab: Lab) -> None:
    """Publishing and withdrawing are exact: a TXT value that another client put there is still there afterwards."""
    lab.bind.dynamic_zone("_acme-challenge.www.example.test", "acme", records=['@ TXT "of-somebody-else"'])
    lab.bind.reconfigure()
    name = box.populate("www.example.test")
    box.ok("run")
    assert box.txt(name) == {"of-somebody-else"}


def test_reissue_keeps_the_old_pair(server_box: Box) -> None:
    """The pair before moves to old_crt and old_ca, and both certificates stand in versions."""
    name = server_box.enrol("www.example.test")
    server_box.ok("run")
    first = server_box.row(name, "crt", "ca")
    assert "stored" not in server_box.ok("run").out
    assert server_box.row(name, "crt", "ca") == first
    server_box.ok("reissue", name)
    second = server_box.row(name, "crt", "ca")
    assert second[0] != first[0]
    assert server_box.row(name, "old_crt", "old_ca") == first
    assert server_box.database.query("SELECT crt, ca FROM versions ORDER BY id") == [first, second]
    [reissue] = server_box.database.query("SELECT reissue_reason FROM certs")
    assert reissue == (None,)
    assert "stored" not in server_box.ok("run").out


def test_status_and_events_tell_the_story(server_box: Box) -> None:
    """`status` and the audit table say what happened, as text and as JSON."""
    name = server_box.enrol("www.example.test")
    waiting = server_box.ok("status", "--json").report()["certificates"][0]
    assert (waiting["state"], waiting["well"]) == ("waiting for its first certificate", True)
    server_box.ok("run", "--json")
    fact = server_box.ok("status", name, "--json").report()["certificates"][0]
    leaf = certificate(server_box, name)
    assert (fact["state"], fact["names"], int(fact["serial"], 16)) == ("valid", [name], leaf.serial_number)
    assert "VALID FOR" in server_box.ok("status").out
    events = [event for (event,) in server_box.database.query("SELECT event FROM events ORDER BY id")]
    assert events == ["enrolled", "sealed", "enabled", "stored"]


def test_a_disabled_certificate_is_left_alone_until_it_is_enabled(box: Box, lab: Lab) -> None:
    """`populate` leaves it disabled; `run` ignores it, `issue` does it once, `enable` makes it due."""
    box.add_zone("www.example.test")
    lab.bind.reconfigure()
    box.put_csr("www.example.test", csr(["www.example.test"]))
    assert "disabled" in box.ok("populate", "www.example.test").out
    assert "nothing is due" in box.ok("run").out
    assert box.orders() == []
    box.ok("issue", "www.example.test")
    assert box.row("www.example.test", "enable") == ("N",)
    box.ok("enable", "www.example.test")
    box.ok("disable", "www.example.test")
    assert box.row("www.example.test", "enable") == ("N",)
    assert len(box.orders()) == 1


def test_a_disabled_certificate_that_fails_is_not_promised_another_try(box: Box) -> None:
    """Nothing takes it up again but `issue`, so no moment is told: neither at once, nor by `status`, nor in JSON."""
    name = "www.nozone.test"
    box.ok("populate", name, "--csr", "-", stdin=csr([name]))
    outcome = box.fails("issue", name, says=["failed; not tried again by itself", "it is disabled", "`issue NAME`"])
    assert "next attempt" not in outcome.out + outcome.err
    assert "nothing is due" in box.ok("run").out
    assert "next attempt  none: disabled; `issue NAME` tries again\n" in box.ok("status", name).out
    assert box.ok("status", "--json").report()["certificates"][0]["next"] is None
    box.ok("enable", name)
    assert "next attempt  none" not in box.fails("status", name, says=["retry after failure 1"]).out


@pytest.mark.sampled
@pytest.mark.parametrize("command", ["issue", "run"])
def test_a_disabled_certificate_whose_order_is_out_is_promised_the_next_try(
    proxied: Box, proxy: CaProxy, command: str
) -> None:
    """One moment, whoever asks: at once, by `status`, in JSON and of the next run, which keeps to it."""
    name = proxied.enrol("www.example.test")

    def disabled_meanwhile(request: Request) -> Reply | None:
        if "/chalZ/" not in request.path:
            return None
        proxied.database.execute("UPDATE certs SET enable = 'N'")
        return problem("serverInternal", "later", 500)

    if command == "issue":
        proxied.ok("disable", name)
    proxy.before.append(disabled_meanwhile)
    with proxied.timed(quick_tries=0):
        outcome = proxied.fails(command, name, says=["failed; next attempt at"])
    proxy.before.clear()
    assert "disabled" not in outcome.out + outcome.err
    assert "tried again" not in outcome.out + outcome.err
    [moment] = proxied.row(name, "due_at")
    first_run = f"the first run after {utc_text(moment)}"
    assert f"next attempt  {first_run}: retry after failure 1\n" in proxied.ok("status", name).out
    assert proxied.ok("status", "--json").report()["certificates"][0]["next"] == utc_text(moment)
    proxied.fails("run", says=[f"{name}: failed before: ", f"next attempt: {first_run}"])
    proxied.database.execute("UPDATE certs SET due_at = 1")
    assert f"{name}: stored" in proxied.ok("run").out


def test_a_disabled_certificate_that_is_held_is_not_promised_another_try(proxied: Box, proxy: CaProxy) -> None:
    """The CA's moment is told, and that nobody orders then."""
    name = proxied.enrol("www.example.test")
    proxied.ok("disable", name)
    proxy.before.append(times(1, "order-plz", problem("rateLimited", "slow down", 429, Retry_After="3600")))
    for _ in range(2):  # the second time by what is saved of the first
        outcome = proxied.fails("issue", name, says=["held by a limit of the CA until", "it is disabled"])
        assert "next attempt" not in outcome.out + outcome.err
    assert "nothing is due" in proxied.ok("run").out


def test_what_is_due_by_its_dates_is_renewed(tmp_path: Path) -> None:
    """A certificate that comes near its end is renewed by `run`, and not before: half of eight days is the moment."""
    eight_days = 8 * 86400
    with Bind(tmp_path / "bind") as bind, Pebble(tmp_path / "pebble", bind.endpoint, validity_seconds=eight_days) as ca:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=ca)
        box.set_up()
        name = box.enrol("www.example.test")
        box.ok("run")
        for left, again in ((4.5, False), (3.5, True)):
            box.put_aged(name, days=8, left=left)
            before = box.row(name, "crt")
            assert (f"{name}: stored" in box.ok("run").out) is again
            assert (box.row(name, "crt") != before) is again


def test_a_stored_certificate_that_is_damaged_is_replaced(box: Box) -> None:
    """What cannot be parsed in the table is no certificate, and is due."""
    name = box.enrol("www.example.test")
    box.ok("run")
    box.database.execute("UPDATE certs SET crt = CAST('damaged' AS BLOB), due_at = NULL")
    box.ok("run")
    assert names_of(certificate(box, name)) == {name}
    assert box.row(name, "old_crt") == (b"damaged",)


def test_no_private_key_but_the_account_key_is_on_the_box(box: Box, lab: Lab) -> None:
    """After issuing, no file of the box and no byte of its database holds a private key, save the account's own."""
    box.enrol("www.example.test")
    box.ok("run")
    files = [file for file in box.folder.rglob("*") if file.is_file()]
    with_key = [file for file in files if b"PRIVATE KEY" in file.read_bytes()]
    assert with_key == [box.state_dir / "account.pem", box.state_dir / "statement.pem"]
    assert lab.bind.running
    assert all(b"PRIVATE KEY" not in bytes(column or b"") for column in box.row("www.example.test", "csr", "crt", "ca"))


@pytest.mark.soak
def test_a_disabled_certificate_whose_order_fails_is_not_tried_again_by_that_run(proxied: Box, proxy: CaProxy) -> None:
    """A run that stays for retries orders nothing anew for it, and ends not well."""
    name = proxied.enrol("www.example.test")
    proxy.before.append(times(99, "/chalZ/", problem("serverInternal", "later", 500)))
    proxied.run("run")
    proxy.before.clear()
    proxied.ok("disable", name)
    proxied.write(renewal={"retry": ["1s", "1s"], "max_run": "5s"})
    proxied.database.execute("UPDATE certs SET due_at = NULL, reissue_reason = 'asked for by hand'")
    proxy.before.append(times(1, "/chalZ/", problem("malformed", "no such thing", 400)))
    assert "not tried again by itself" in proxied.fails("run", says=["failed"]).out
    assert [state for state, _ in proxied.orders()] == ["FAILED"]
