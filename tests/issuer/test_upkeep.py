"""What docs/upkeep.md tells people to do, done."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
_KILLED = (
    "import os, signal, sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\n"
    "connection.executescript(sys.argv[2])\nos.kill(os.getpid(), signal.SIGKILL)"
)


def leaf(box: Box, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(box.row(name, "crt")[0])


def test_a_tsig_secret_is_rotated_under_its_name(box: Box, lab: Lab) -> None:
    """New secret on both sides: nothing else changes. With one side only, the error says which key is wrong."""
    file = lab.bind.tsig_key("rotated")
    box.write(dns={"tsig_key_file": str(file)})
    name = box.enrol("www.example.test", key="rotated")
    box.ok("run")
    box.forget_validations()
    assert lab.bind.tsig_key("rotated") == file
    assert "BADSIG" in box.run("reissue", name).err
    lab.bind.reconfigure()
    box.ok("check", name)
    box.ok("issue", name)


def test_a_lost_key_is_replaced(box: Box) -> None:
    """A new CSR under the same name gets a certificate for its key; what was stored before stays in the history."""
    name = box.enrol("www.example.test")
    box.ok("run")
    before = leaf(box, name)
    box.ok("remove", name, "--yes")
    box.ok("populate", name, "--csr", "-", stdin=csr([name], "rsa2048"))
    box.ok("enable", name)
    box.ok("issue", name)
    assert leaf(box, name).public_key() != before.public_key()
    assert len(box.ok("history", name, "--json").report()["versions"]) == 2


def test_two_keys_for_the_same_names(box: Box) -> None:
    """The second row has a label of its own; both are stored and use one sub-zone."""
    name = box.enrol("www.example.test")
    box.ok("populate", f"{name}-rsa", "--label", "--csr", "-", stdin=csr([name], "rsa2048"))
    box.ok("enable", f"{name}-rsa")
    assert box.ok("run").out.count(": stored") == 2
    kinds = {type(leaf(box, row).public_key()).__name__ for row in (name, f"{name}-rsa")}
    assert kinds == {"RSAPublicKey", "ECPublicKey"}


@pytest.mark.parametrize("program", ["sqlite3 /var", "python3 -c"])
def test_a_backup_of_sqlite_is_restored_after_a_crash(lone_box: Box, tmp_path: Path, program: str) -> None:
    """It holds what only the log of a killed writer does, and is not touched by the log of another one."""
    database, folder = lone_box.database, tmp_path / "backups"
    folder.mkdir()
    killed_writer(tmp_path, "CREATE TABLE kept (text); INSERT INTO kept VALUES ('before')")
    as_the_page_says(tmp_path, program)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
    killed_writer(tmp_path, f"INSERT INTO kept {numbers} SELECT hex(randomblob(500)) FROM n")  # noqa: S608
    as_the_page_says(tmp_path, "rm -f")
    as_the_page_says(tmp_path, "install")
    assert database.query("PRAGMA integrity_check") == [("ok",)]
    assert database.query("SELECT text FROM kept") == [("before",)]
    lone_box.ok("db", "upgrade")


def killed_writer(folder: Path, script: str) -> None:
    """What it has written stands in the log beside the database alone."""
    subprocess.run([sys.executable, "-c", _KILLED, str(folder / "certfleet.db"), script], check=False, timeout=20)
    assert (folder / "certfleet.db-wal").stat().st_size > 0


def as_the_page_says(folder: Path, words: str) -> None:
    """The one line of docs/databases.md that begins with *words*, with folders and user of the test."""
    page = (ROOT / "docs" / "databases.md").read_text(encoding="utf-8")
    [line] = [line for line in page.splitlines() if line.startswith(words)]
    line = line.replace("/var/lib/certfleet", str(folder)).replace("/var/backups", str(folder / "backups"))
    subprocess.run(line.replace("-o certfleet -g certfleet", ""), shell=True, check=True, timeout=20)  # noqa: S602
