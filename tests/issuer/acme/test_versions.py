"""history, rollback, import, revoke, reissue of many: going back, taking in, calling back, starting over."""

import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.issuer.acme.information import Information
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy

NAME, OTHER = "www.lab.test", "mail.lab.test"


def test_rollback_brings_the_version_before_back(box: Box) -> None:
    """The earlier certificate is the present one again, newer than before for agents, and marked as meant."""
    box.enrol(NAME)
    box.ok("run")
    first = box.serial(NAME)
    box.ok("reissue", NAME)
    assert box.serial(NAME) != first
    box.database.execute("UPDATE certs SET ts_last_update = 5")
    box.ok("rollback", NAME)
    assert box.serial(NAME) == first
    updated, marked = box.row(NAME, "ts_last_update", "rolled_back")
    assert updated > 5
    leaf = x509.load_pem_x509_certificate(bytes(box.row(NAME, "crt")[0]))
    assert marked == leaf.fingerprint(hashes.SHA256()).hex()
    versions = box.ok("history", NAME, "--json").report()["versions"]
    assert [version["present"] for version in versions] == [False, True]
    assert [line.endswith(" present") for line in box.ok("history", NAME).out.splitlines()[1:3]] == [False, True]
    box.ok("reissue", NAME)
    assert box.row(NAME, "rolled_back") == (None,)


@pytest.mark.soak
def test_who_goes_back_twice_never_comes_forward(box: Box) -> None:
    """The second rollback takes the one before the first's, then there is none; a serial goes anywhere."""
    box.enrol(NAME)
    box.ok("run")
    for _ in range(2):
        box.ok("reissue", NAME)
    third, second, first = (item["serial"] for item in box.ok("history", NAME, "--json").report()["versions"])
    for earlier in (second, first):
        assert f"back at serial {earlier}" in box.ok("rollback", NAME).out
    box.refused("rollback", NAME, code=1, says=["no earlier certificate", "`--serial`"])
    assert f"back at serial {third}" in box.ok("rollback", NAME, "--serial", third).out
    before = box.row(NAME, "due_at", "rolled_back"), box.ok("history", NAME, "--json").report()
    assert f"serial {third} is the present one already; nothing" in box.ok("rollback", NAME, "--serial", third).out
    assert (box.row(NAME, "due_at", "rolled_back"), box.ok("history", NAME, "--json").report()) == before


def test_rollback_refuses_what_cannot_be_used(box: Box) -> None:
    """No earlier version, an unknown serial, one of another key: each refused, nothing changed."""
    box.enrol(NAME)
    box.refused("rollback", NAME, code=1, says=["no earlier certificate"])
    box.ok("run")
    before = box.contents()
    box.refused("rollback", NAME, code=1, says=["no earlier certificate"])
    box.refused("rollback", NAME, "--serial", "ABCDEF", code=1, says=["no certificate ABCDEF"])
    assert box.contents() == before


def test_import_is_handed_out_watched_and_never_renewed(lone_box: Box, tmp_path: Path) -> None:
    """A certificate from elsewhere fills the row like an issued one; `run` leaves it alone; `status` watches it."""
    issued = Authority("Company CA").intermediate("Company Issuing").issue(["intranet.lab.test"], days=9)
    file = tmp_path / "bought.pem"
    file.write_bytes(issued.fullchain_pem)
    lone_box.ok("import", "intranet.lab.test", "--crt", str(file))
    crt, ca, updated, imported = lone_box.row("intranet.lab.test", "crt", "ca", "ts_last_update", "imported")
    assert bytes(crt).strip() == issued.cert_pem.strip()
    assert bytes(ca).strip() == issued.chain_pem.strip()
    assert abs(updated - time.time()) < 60
    assert imported == "Y"
    lone_box.ok("run")
    lone_box.refused("reissue", "intranet.lab.test", code=1, says=["imported"])
    lone_box.ok("status")
    lone_box.database.execute("UPDATE certs SET ts_expire = 5")
    outcome = lone_box.run("status")
    assert (outcome.code, "expired" in outcome.out) == (1, True)


def test_the_same_import_twice_changes_nothing(lone_box: Box, tmp_path: Path) -> None:
    """The first one says what becomes of it, the second that it is there; the CA that never issued it is not asked."""
    file = tmp_path / "bought.pem"
    file.write_bytes(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    assert "enabled: agents take it" in lone_box.ok("import", NAME, "--crt", str(file)).out
    present = lone_box.ok("history", NAME, "--json").report()["versions"][0]["serial"]
    before = lone_box.contents()
    assert "is there already" in lone_box.ok("import", NAME, "--crt", str(file)).out
    for which in ([], ["--serial", present]):
        lone_box.refused("revoke", NAME, *which, "--yes", code=1, says=["imported", "where it was bought"])
    assert lone_box.contents() == before
    lone_box.ok("disable", NAME)
    file.write_bytes(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    assert f"`enable {NAME}`" in lone_box.ok("import", NAME, "--crt", str(file)).out


@pytest.mark.parametrize("typed", ["0ABC12", "ABC12", "abc12", "000abc12", "0a:bc:12", "A:BC:12"])
def test_a_serial_is_a_number(lone_box: Box, tmp_path: Path, typed: str) -> None:
    """Whichever program has printed it: with leading zeros or none, with colons, in small letters."""
    file = tmp_path / "bought.pem"
    signer = Authority("CA").intermediate("I")
    for number in (0xABC12, 0xABC13):
        file.write_bytes(signer.sign(csr([NAME]), serial=number).fullchain_pem)
        lone_box.ok("import", NAME, "--crt", str(file))
    lone_box.refused("revoke", NAME, "--serial", typed, "--yes", code=1, says=["imported, so our CA does not know it"])
    assert "back at serial 0ABC12" in lone_box.ok("rollback", NAME, "--serial", typed).out
    assert lone_box.serial(NAME) == 0xABC12


@pytest.mark.parametrize("typed", ["0", "-ABC12", "ABC1", "serial"])
def test_another_number_is_another_serial(lone_box: Box, tmp_path: Path, typed: str) -> None:
    """Nor is a text that is no number any serial."""
    file = tmp_path / "bought.pem"
    file.write_bytes(Authority("CA").intermediate("I").sign(csr([NAME]), serial=0xABC12).fullchain_pem)
    lone_box.ok("import", NAME, "--crt", str(file))
    word = f"--serial={typed}"
    lone_box.refused("rollback", NAME, word, code=1, says=[f"no certificate {typed} of {NAME} is stored"])
    lone_box.refused("revoke", NAME, word, "--yes", code=1, says=[f"no such certificate of {NAME} is stored"])


def test_an_imported_one_of_our_own_ca_is_revoked_there(box: Box, tmp_path: Path) -> None:
    """Also by its serial: it is the certificate that was issued, and stands in the history once."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("disable", NAME)
    file = tmp_path / "own.pem"
    file.write_bytes(b"".join(bytes(part) for part in box.row(NAME, "crt", "ca")))
    box.ok("import", NAME, "--crt", str(file))
    [version] = box.ok("history", NAME, "--json").report()["versions"]
    box.ok("revoke", NAME, "--yes")
    assert "so it was disabled" in box.ok("revoke", NAME, "--serial", version["serial"], "--reason", "1", "--yes").out


@pytest.mark.parametrize("what", ["key inside", "other name", "no chain", "not PEM", "missing", "expired"])
def test_import_refuses(lone_box: Box, tmp_path: Path, what: str) -> None:
    """Each wrong file is refused with its reason and nothing is stored."""
    signer = Authority("Company CA").intermediate("Company Issuing")
    begin = datetime.now(UTC) - timedelta(days=20 if what == "expired" else 1)
    issued = signer.issue(["intranet.lab.test"], days=9, not_before=begin)
    contents = {
        "key inside": issued.fullchain_pem + issued.key_pem,
        "other name": signer.issue(["other.lab.test"]).fullchain_pem,
        "no chain": issued.cert_pem,
        "not PEM": b"hello",
        "expired": issued.fullchain_pem,
    }
    file = tmp_path / "bought.pem"
    if what in contents:
        file.write_bytes(contents[what])
    before = lone_box.contents()
    lone_box.refused("import", "intranet.lab.test", "--crt", str(file), code=1, says=["bought.pem"])
    assert lone_box.contents() == before


def test_import_keeps_to_the_key_and_leaves_live_ones_alone(box: Box, tmp_path: Path) -> None:
    """An enabled ACME certificate is not overwritten, and the CSR's key must be the certificate's."""
    box.enrol(NAME)
    file = tmp_path / "bought.pem"
    file.write_bytes(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    box.refused("import", NAME, "--crt", str(file), code=1, says=["renewed by ACME", "disable"])
    box.ok("disable", NAME)
    box.refused("import", NAME, "--crt", str(file), code=1, says=["not the key of the CSR"])
    file.write_bytes(Authority("CA").intermediate("I").sign(csr([NAME])).fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))


@pytest.mark.sampled
@pytest.mark.parametrize("informs", [False, True], ids=["no ARI", "ARI"])
def test_reissue_of_many_is_paced_and_resumed(proxied: Box, proxy: CaProxy, *, informs: bool) -> None:
    """Where a limit leaves two orders, five certificates are not rushed, nor where the CA's window is days away; what
    is left stays wanted."""
    box = proxied
    if informs:
        Information(proxy)
    names = [f"m{number}.lab.test" for number in range(5)]
    for name in names:
        box.enrol(name)
    box.ok("run")
    old = {name: bytes(box.row(name, "crt")[0]) for name in names}
    ordered = len(box.orders())
    box.write(acme={"limit_new_orders": f"{ordered + 2}/1h"}, renewal={"max_run": "0s"})
    outcome = box.run("reissue", "--all")
    assert outcome.code == 1
    assert "held by a limit of the CA" in outcome.out
    assert "error: 3 certificates: held: paced inside the CA's published limits" in outcome.err
    assert outcome.err.count("what to do: raise limit_new_orders") == 1
    assert "--lift-hold" not in outcome.err
    listed = box.fails("status", says=["3 wait: paced inside the CA's published limits; raise limit_new_orders"])
    waiting = [line.split()[0] for line in listed.out.splitlines() if " held " in line]
    assert len(waiting) == 3
    box.fails("status", waiting[0], says=[f"{waiting[0]}: held\n", " by certfleet itself: paced "])
    assert len(box.orders()) == ordered + 2
    assert sum(bytes(box.row(name, "crt")[0]) != old[name] for name in names) == 2
    box.write(acme={"limit_new_orders": ""})
    box.ok("status")
    box.database.execute("UPDATE certs SET due_at = 1 WHERE reissue_reason IS NOT NULL")
    box.ok("run")
    assert all(bytes(box.row(name, "crt")[0]) != old[name] for name in names)
    assert len(box.orders()) == ordered + 5
    assert sum("replaces" in (request.payload or {}) for request in proxy.paths("order-plz")) == 5 * informs


def test_reissue_by_issuer(box: Box) -> None:
    """Only what that CA issued is replaced; a name that fits nothing is a usage error."""
    box.enrol(NAME)
    box.ok("run")
    first = box.serial(NAME)
    box.refused("reissue", "--issued-by", "Nobody", code=2, says=["no enabled certificate fits"])
    box.refused("reissue", code=2, says=["nothing to reissue was named"])
    assert box.serial(NAME) == first
    box.ok("reissue", "--issued-by", "pebble")
    assert box.serial(NAME) != first


@pytest.mark.soak
def test_md5_modulus_of_an_import_is_openssls(lone_box: Box, tmp_path: Path) -> None:
    """The legacy column of an imported RSA certificate is what openssl prints."""
    key, crt = tmp_path / "k.pem", tmp_path / "c.pem"
    subject = ["-subj", "/CN=intranet.lab.test", "-addext", "subjectAltName=DNS:intranet.lab.test"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "9",
        "-keyout",
        str(key),
        "-out",
        str(crt),
    ]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    lone_box.ok("import", "intranet.lab.test", "--crt", str(crt))
    modulus = subprocess.run(
        ["openssl", "x509", "-noout", "-modulus", "-in", str(crt)], check=True, capture_output=True
    )
    digest = subprocess.run(["openssl", "md5"], input=modulus.stdout, check=True, capture_output=True).stdout.decode()
    assert lone_box.row("intranet.lab.test", "md5_modulus")[0] == digest.split()[-1]
