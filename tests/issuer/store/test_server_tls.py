"""`db tls` and `db grants --create`: what they make lets agents into a real server, and nobody else."""

import dataclasses
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from agent.model.errors import SourceError
from agent.settings.config import SourceSettings
from agent.source.open import open_source
from common.check_line import Level
from issuer.check.installation import database_certificate_lines
from issuer.store.server_tls import make
from tests.issuer.box import Box
from tests.servers import sql_folder
from tests.servers.authority import Authority
from tests.servers.database import SqliteDatabase
from tests.servers.mariadb import MariaDB

HOSTS = ["--host", "localhost", "--host", "127.0.0.1"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, MariaDB]]:
    """A folder that `db tls` made, and a server that runs with what it printed."""
    # not below pytest's own folder, which the server's account may not enter
    folder = tmp_path_factory.mktemp("tls")
    lone = Box(folder / "box", SqliteDatabase(folder))
    open_to_it = sql_folder.make_folder("tls")  # pytest's own may not be entered by the server's account
    target = open_to_it / "made"
    told = lone.ok("db", "tls", str(target), *HOSTS).out
    options = [f"--{line.replace(' ', '')}" for line in told.splitlines() if line.startswith("ssl_")]
    with MariaDB(options=options) as server:
        yield target, server
    sql_folder.remove_folder(open_to_it)


def source_of(made: tuple[Path, MariaDB], box: Box, account: str, *, tls_ca: Path) -> SourceSettings:
    """A new account by the statements of `db grants --create`, as an agent has it."""
    _, server = made
    password = box.folder / f"{account}.password"
    for statement in box.ok("db", "grants", account, "--create", "--password-file", str(password)).out.splitlines():
        server.sql(statement.removesuffix(";"))
    return SourceSettings(f"mysql://{account}@localhost:{server.port}/{box.database.name}", password, tls_ca)  # type: ignore[attr-defined]


def test_an_agent_gets_in_by_what_was_made(made: tuple[Path, MariaDB], tmp_path: Path) -> None:
    """With verification, over TLS only; another CA is refused; after a renewal the same CA file goes on."""
    folder, server = made
    database = server.create_database()
    box = Box(tmp_path / "box", database)
    box.write(database={"tls_ca": str(folder / "ca.pem")})
    box.set_up()
    settings = source_of(made, box, "agent1", tls_ca=folder / "ca.pem")
    source = open_source(settings, tmp_path / "agent.toml")
    assert source.marks(["www.example.test"]) == {}
    source.close()
    stranger = Authority("certfleet database CA").write(tmp_path / "stranger")
    refused = open_source(SourceSettings(settings.url, settings.password_file, stranger), tmp_path / "agent.toml")
    with pytest.raises(SourceError, match="certificate verify failed"):
        refused.marks(["www.example.test"])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert "localhost, 127.0.0.1" in box.ok("db", "tls", str(folder)).out  # the hosts of before
    changed = {file.name for file in folder.iterdir() if file.read_bytes() != before[file.name]}
    assert changed == {"server.pem"}
    server.sql("FLUSH SSL")
    assert source.marks(["www.example.test"]) == {}
    source.close()


def test_the_files_are_as_strict_verifiers_want_them(made: tuple[Path, MariaDB]) -> None:
    """RFC 5280 to the letter; keys for their owners alone; the password of an account is in its file."""
    folder, _ = made
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost"]
    subprocess.run([*verify, "-CAfile", folder / "ca.pem", folder / "server.pem"], check=True, capture_output=True)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_password_is_made_once_and_never_shown(mariadb: MariaDB, tmp_path: Path) -> None:
    """Into a file for its owner alone; a terminal gets no statement with it, and without a file there is a placeholder
    that a server does not take."""
    box = Box(tmp_path / "box", mariadb.create_database())
    file = tmp_path / "a.password"
    words = ["db", "grants", "agent", "--create"]
    first = box.ok(*words, "--password-file", str(file)).out
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"IDENTIFIED BY '{file.read_text().strip()}' REQUIRE SSL;\nGRANT" in first
    assert box.ok(*words, "--password-file", str(file)).out == first
    with patch("issuer.commands.database_access._on_terminal", return_value=True):
        box.refused(*words, "--password-file", str(file), code=2, says=["not shown on a terminal"])
    [create, *grants] = box.ok(*words).out.splitlines()
    with pytest.raises(Exception, match="syntax"):
        mariadb.sql(create.removesuffix(";"))
    assert grants == box.ok("db", "grants", "agent").out.splitlines()
    box.refused("db", "grants", "agent", "--password-file", str(file), code=2, says=["goes with --create or --alter"])


def test_a_password_is_changed_by_what_is_printed(made: tuple[Path, MariaDB], tmp_path: Path) -> None:
    """`--alter` for an account that is there, in a database whose name holds a backquote: the new password gets in, the
    old one does not."""
    folder, server = made
    box = Box(tmp_path / "box", server.create_database(f"of`{secrets.token_hex(4)}"))
    box.write(database={"tls_ca": str(folder / "ca.pem")})
    box.set_up()
    old = source_of(made, box, "rotated", tls_ca=folder / "ca.pem")
    assert old.password_file is not None
    file = box.folder / "new.password"
    for statement in box.ok("db", "grants", "rotated", "--alter", "--password-file", str(file)).out.splitlines():
        server.sql(statement.removesuffix(";"))
    with closing(open_source(dataclasses.replace(old, password_file=file), tmp_path)) as source:
        assert source.marks(["www.example.test"]) == {}
    with closing(open_source(old, tmp_path)) as source, pytest.raises(SourceError, match="Access denied"):
        source.marks(["www.example.test"])


def test_what_others_made_is_not_touched(lone_box: Box, tmp_path: Path) -> None:
    """A CA without its key, a certificate of another CA, a key of another kind: refused, and every file stays."""
    folder = tmp_path / "tls"
    Authority("Ours").write(folder)
    words = ["db", "tls", str(folder), "--host", "db.example.test"]
    lone_box.refused(*words, code=1, says=["ca.key is missing"])
    (folder / "ca.pem").rename(folder / "server.pem")
    lone_box.refused(*words, code=1, says=["was not signed by"])
    assert [file.name for file in folder.iterdir()] == ["server.pem"]
    (folder / "server.pem").unlink()
    (folder / "server.key").touch(mode=0o600)
    lone_box.refused(*words, code=1, says=["server.key cannot be used"])
    assert (folder / "server.key").read_bytes() == b""


def test_an_old_ca_is_signed_anew_with_its_own_key(tmp_path: Path) -> None:
    """Before it ends sooner than the certificate that it signs: whoever has the older file goes on."""
    hosts = ["db.example.test", "192.0.2.5", "2001:db8::5", "db1"]
    first = make(tmp_path, hosts, "", NOW)
    old = first.ca.read_bytes()
    assert make(tmp_path, hosts, "", NOW + timedelta(days=17 * 365)).ca.read_bytes() == old
    later = make(tmp_path, hosts, "", NOW + timedelta(days=19 * 365))
    assert later.ca.read_bytes() != old
    (tmp_path / "old.pem").write_bytes(old)
    at = str(int((NOW + timedelta(days=19 * 365 + 30)).timestamp()))
    verify = ["openssl", "verify", "-x509_strict", "-attime", at, "-CAfile"]
    subprocess.run([*verify, tmp_path / "old.pem", later.certificate], check=True, capture_output=True)


@pytest.mark.parametrize(("left", "level"), [(0.5, Level.OK), (0.05, Level.WARN), (-1, Level.WARN)])
def test_check_tells_the_end_of_the_server_certificate(left: float, level: Level) -> None:
    """In time, by its own lifetime; over a socket there is none."""
    life = 1000 * 86400
    [line] = database_certificate_lines((0, life), life - left * life)
    assert line.level is level
    assert ("db tls" in line.hint) == (level is Level.WARN)
    assert database_certificate_lines(None, 0) == []


def test_check_looks_at_the_certificate_of_the_real_server(mariadb: MariaDB, tmp_path: Path) -> None:
    """The one that the server presents."""
    box = Box(tmp_path / "box", mariadb.create_database())
    box.set_up()
    assert "its TLS certificate is good for another" in box.run("check").out
