"""adopt signs too: after a lost key of statements, and for certificates that other programs stored."""

from pathlib import Path

import pytest

from issuer.trust.statements import Statements
from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.database import SqliteDatabase

NAME, OTHER = "www.lab.test", "mail.lab.test"
CA = Authority("Root").intermediate("CA")


@pytest.fixture
def imported(lone_box: Box) -> Box:
    """A box with two certificates that were imported for enrolled CSRs."""
    for name in (NAME, OTHER):
        lone_box.ok("populate", name, "--csr", "-", stdin=csr([name]))
        file = lone_box.folder / "bought.pem"
        file.write_bytes(CA.sign(csr([name])).fullchain_pem)
        lone_box.ok("import", name, "--crt", str(file))
    return lone_box


def is_signed(box: Box, name: str) -> bool:
    """Has the key of the box signed the statement of the row?"""
    return Statements(box.state_dir).key().has_signed(str(box.row(name, "statement")[0]))


def store(box: Box, name: str, authority: Authority = CA) -> None:
    """Another program stores a certificate for the CSR of the row."""
    crt = authority.sign(csr([name])).cert_pem.hex()
    box.database.execute(f"UPDATE certs SET crt = X'{crt}', statement = NULL WHERE name = '{name}'")  # noqa: S608


def test_all_of_a_lost_key_is_signed_by_a_new_one(imported: Box) -> None:
    """A person sees what is signed; the new key is told, with what it means for agents. A second time nothing is
    done."""
    (imported.state_dir / "statement.pem").unlink()
    refused = imported.refused("adopt", "--all", code=2, says=["asks for confirmation"])
    for name in (NAME, OTHER):
        assert f"{name}: serial " in refused.out
    assert Statements(imported.state_dir).absent
    outcome = imported.ok("adopt", "--all", "--yes")
    assert "0 sealed\nsigned 2 certificates" in outcome.out
    assert 'issuer_key = "' in outcome.err
    assert "no earlier key vouches for it" in outcome.err
    assert all(is_signed(imported, name) for name in (NAME, OTHER))
    assert "nothing was changed" in imported.ok("adopt", "--all", "--yes").out


def test_a_key_is_not_made_anew_for_some_names(imported: Box) -> None:
    """Only --all does that; a certificate is left without a statement meanwhile, and that is said."""
    store(imported, NAME)
    (imported.state_dir / "statement.pem").unlink()
    outcome = imported.run("adopt", NAME, "--yes")
    assert "no certificate is signed" in outcome.err
    assert Statements(imported.state_dir).absent


def test_what_another_program_stored_is_signed_with_its_row(imported: Box) -> None:
    """Of the names given, and only if it fits the CSR; a statement that is in order stays as it is."""
    before = imported.row(OTHER, "statement")
    store(imported, NAME)
    assert "0 sealed\nsigned 1 certificate\n" in imported.ok("adopt", NAME, OTHER, "--yes").out
    assert is_signed(imported, NAME)
    assert imported.row(OTHER, "statement") == before
    stranger = Authority("Thief").issue([NAME]).cert_pem.hex()
    imported.database.execute(f"UPDATE certs SET crt = X'{stranger}' WHERE name = '{NAME}'")  # noqa: S608
    assert "nothing was changed" in imported.ok("adopt", "--all", "--yes").out


def test_hosts_take_what_was_signed_anew(lone_box: Box, tmp_path: Path) -> None:
    """A host that knows the new key takes the certificate at its next run, although its row has the same moments as
    when it was refused: what lacks a statement is looked at in every run."""
    host = Host(tmp_path / "host", NAME)
    host.make_key()
    assert isinstance(lone_box.database, SqliteDatabase)
    source = f'url = "sqlite:///{lone_box.database.path}"'
    lone_box.ok("populate", NAME, "--csr", str(host.folder / "host.csr"))
    (lone_box.state_dir / "statement.pem").unlink()
    file = tmp_path / "bought.pem"
    file.write_bytes(host.sign().fullchain_pem)
    lone_box.ok("import", NAME, "--crt", str(file))
    moments = lone_box.row(NAME, "ts_last_update", "ts_expire")
    stranger = Statements(tmp_path)
    host.configure(source=source, issuer_key=stranger.create().sentence.split('"')[1])
    assert "there is none for this certificate" in host.run().json["certificates"][0]["detail"]
    lone_box.ok("adopt", "--all", "--yes")
    assert lone_box.row(NAME, "ts_last_update", "ts_expire") == moments
    key = lone_box.ok("key", "show", "--json").report()["issuer_key"]
    host.configure(source=source, issuer_key=key)
    assert host.run().code == 0
    assert host.fullchain.read_bytes() == file.read_bytes()


def test_a_statement_that_comes_later_is_seen(lone_box: Box, tmp_path: Path) -> None:
    """For the same certificate in the same row, by the key that the host knows already: with no change of agent.toml
    and no moment of the row raised, the next plain run takes it."""
    host = Host(tmp_path / "host", NAME)
    host.make_key()
    assert isinstance(lone_box.database, SqliteDatabase)
    lone_box.ok("populate", NAME, "--csr", str(host.folder / "host.csr"))
    key = lone_box.ok("key", "show", "--json").report()["issuer_key"]
    host.configure(source=f'url = "sqlite:///{lone_box.database.path}"', issuer_key=key)
    file = tmp_path / "bought.pem"
    file.write_bytes(host.sign().fullchain_pem)
    lone_box.ok("import", NAME, "--crt", str(file))
    lone_box.database.execute("UPDATE certs SET statement = NULL")
    moments = lone_box.row(NAME, "ts_last_update", "ts_expire")
    for _ in range(2):
        assert host.run().code == 1
    lone_box.ok("adopt", NAME, "--yes")
    assert lone_box.row(NAME, "ts_last_update", "ts_expire") == moments
    assert host.run().code == 0
    assert host.fullchain.read_bytes() == file.read_bytes()
