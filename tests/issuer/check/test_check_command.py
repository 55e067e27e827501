"""`check` on real servers: what is well is said, what is not is named with what to do, and nothing is left behind."""

import os
from pathlib import Path

import pytest

from issuer.ca.account import create_account_key
from tests.issuer.box import Box
from tests.issuer.check.findings import bad_ones, findings, told
from tests.issuer.signing_requests import csr
from tests.servers.lab import Lab

NAME = "www.example.test"


@pytest.fixture
def box(resolving_box: Box) -> Box:
    """A box that is set up, and whose resolver is the test's own."""
    return resolving_box


def test_all_is_well(box: Box, lab: Lab) -> None:
    """Every part is named with its finding, a record was added and removed, and exit code and journal are clean."""
    box.enrol(NAME)
    outcome = box.ok("check", NAME)
    for phrase in (
        "ok   configuration: ",
        "ok   database: ",
        "ok   account key: ",
        "ok   CA https://localhost",
        f"ok   {NAME}: CSR for {NAME}, ecdsa-p256",
        "takes updates with our key",
        f"{lab.bind.endpoint} shows a new record after ",
        f"zone _acme-challenge.{NAME}: its clock and ours are ",
        "resolvers remember for 1s",
    ):
        assert phrase in outcome.out
    assert lab.bind.serial(f"_acme-challenge.{NAME}") == 3
    assert box.txt(NAME) == set()
    assert box.contents()["challenges"] == []
    assert all(line[:5] in ("ok   ", "warn ") for line in outcome.out.splitlines())


def test_everything_enrolled_is_looked_at_by_default(box: Box) -> None:
    """Without names all rows are checked, and a zone that two of them share only once."""
    box.enrol("a.example.test")
    box.enrol("b.example.test", "a.example.test")
    found = findings(box)
    assert len([item for item in found if "takes updates" in item["finding"]]) == 2
    assert len([item for item in found if "CSR for" in item["finding"]]) == 2


def test_a_database_that_was_not_migrated(box: Box) -> None:
    """The revision is said, and the sub-zone is checked all the same."""
    box.enrol(NAME)
    box.database.execute("DELETE FROM alembic_version")
    found = findings(box, NAME)
    assert "db upgrade" in told(found, "bad", "database: ")["what_to_do"]
    told(found, "ok", "takes updates with our key")


def test_a_database_that_cannot_be_opened(box: Box) -> None:
    """It is one bad line among the others."""
    box.enrol(NAME)
    box.write(database={"url": f"sqlite:///{box.folder}/no/such/folder/db"})
    found = findings(box, NAME)
    told(found, "bad", "database: ")
    told(found, "ok", "takes updates with our key")
    quiet = box.run("check", "-q", NAME)  # as cron mails it
    assert quiet.code == 1
    assert [line[:15] for line in quiet.out.splitlines()] == ["bad  database: "]


def test_a_ca_that_is_away(box: Box, lab: Lab) -> None:
    """The directory cannot be reached: bad, and the DNS side is checked all the same."""
    box.enrol(NAME)
    lab.pebble.stop()
    found = findings(box, NAME)
    told(found, "bad", "cannot be reached")
    told(found, "ok", "takes updates with our key")


def test_the_account_is_found_but_never_made(box: Box) -> None:
    """Before the first order the CA knows no account, and `check` does not register one; afterwards it is named."""
    box.enrol(NAME)
    for _ in range(2):
        told(findings(box, NAME), "warn", "it knows no account of our key yet")
    box.ok("run")
    told(findings(box, NAME), "ok", "our account is https://localhost")


def test_orders_of_another_account_key_are_told(box: Box, tmp_path: Path) -> None:
    """A second issuer with a key of its own: before it has an account, and when it has one."""
    box.enrol(NAME)
    box.ok("run")
    create_account_key(tmp_path / "other.pem")
    box.write(acme={"account_key": str(tmp_path / "other.pem")})
    unknown = told(findings(box, NAME), "warn", "the database has orders that were opened there")
    assert "copy the account key" in unknown["what_to_do"]
    box.ok("reissue", NAME)
    told(findings(box, NAME), "warn", "opened with another account key")


def test_an_account_key_that_others_may_read(box: Box) -> None:
    """Group-readable is a warning; readable by everybody keeps the CA from being asked at all."""
    box.enrol(NAME)
    key = box.state_dir / "account.pem"
    key.chmod(0o640)
    assert "chmod 0600" in told(findings(box, NAME), "warn", "mode 0640")["what_to_do"]
    key.chmod(0o644)
    told(findings(box, NAME), "bad", "its mode is 0644")


def test_a_csr_that_cannot_be_used(box: Box) -> None:
    """A damaged row is bad; a file that differs from the row, and a legacy modulus that differs, are warnings."""
    box.enrol(NAME)
    box.put_csr(NAME, csr([NAME], number=1, kind="ecdsa-p384"))
    box.database.execute("UPDATE certs SET md5_modulus = 'd41d8cd98f00b204e9800998ecf8427e'")
    found = findings(box, NAME)
    told(found, "warn", "holds another CSR than the database")
    told(found, "warn", "md5_modulus")
    box.put_csr(NAME, b"not a CSR")
    told(findings(box, NAME), "bad", "is not usable: it is not a PEM certificate signing request")
    os.truncate(box.csr_dir / f"{NAME}.csr", 1_000_001)
    told(findings(box, NAME), "warn", f"{NAME}.csr cannot be read (it is larger than 1000000 bytes)")
    (box.csr_dir / f"{NAME}.csr").unlink()
    os.mkfifo(box.csr_dir / f"{NAME}.csr")
    told(findings(box, NAME), "warn", "it is not a regular file")
    box.database.execute("UPDATE certs SET csr = 'damaged'")
    told(findings(box, NAME), "bad", "the stored CSR is not usable")


def test_an_http01_row_is_checked_by_its_webroot(box: Box, tmp_path: Path) -> None:
    """No sub-zone is wanted for it; its webroot has to be there."""
    (tmp_path / "web").mkdir()
    box.ok("populate", NAME, "--csr", "-", "--webroot", str(tmp_path / "web"), stdin=csr([NAME]))
    told(findings(box, NAME), "ok", "challenge files can be put into")
    (tmp_path / "web").rmdir()
    assert bad_ones(findings(box, NAME))


def test_wrong_words_are_usage_errors(box: Box) -> None:
    """A name that is not enrolled and a malformed time end with exit code 2 and change nothing."""
    box.refused("check", "nowhere.example.test", code=2, says=["not enrolled: nowhere.example.test"])
    box.refused("check", "--wait", "soon", code=2, says=["--wait: 'soon' is not a duration"])
