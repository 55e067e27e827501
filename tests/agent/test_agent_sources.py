"""Where certificates come from, real ones: an SQLite file, and database servers with the agent's rights only."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from agent.host.waits import Waits
from agent.journey.ports import Source
from agent.model.errors import SourceError
from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Result
from agent.settings.config import SourceSettings
from agent.source.mysql import MysqlSource
from agent.source.open import open_source
from agent.source.sqlite import SqliteSource
from common.certificate import parse_bundle
from common.errors import ConfigError
from common.pem import LARGEST
from tests.agent.accounts import EARLIER, Agents
from tests.agent.host import NAME, TABLES, Host
from tests.servers.authority import Authority
from tests.servers.database import Database, SqliteDatabase
from tests.servers.mariadb import MariaDB
from tests.servers.nginx import Nginx
from tests.servers.sql_server import SqlDatabase


@pytest.fixture
def source(database: Database, tmp_path: Path) -> Iterator[tuple[Source, Database]]:
    """A source of each kind with one certificate in it, and the database behind it."""
    opened: Source
    if isinstance(database, SqliteDatabase):
        for statement in TABLES.split(";"):
            database.execute(statement)
        opened = SqliteSource(database.path, Waits())
    else:
        assert isinstance(database, SqlDatabase)
        opened = open_source(Agents(database, tmp_path).settings(), tmp_path / "agent.toml")
    database.execute(
        "INSERT INTO certs (name, crt, ca, ts_last_update, ts_expire) VALUES ('a.b', 'leaf', 'chain', 99, 77)"
    )
    database.execute("INSERT INTO certs (name, ts_last_update) VALUES ('new.b', 1)")
    yield opened, database
    opened.close()


def a_result(outcome: Outcome = Outcome.INSTALLED, name: str = "a.b", sha256: str = "f" * 64) -> Result:
    return Result(name, outcome, "a detail", installed=Installed(sha256, "01", 123, Mark(99, 77), {}, ""))


def report(source: Source, outcome: Outcome = Outcome.INSTALLED) -> None:
    assert source.report([a_result(outcome)], "host1", 456) == {}


def test_a_source_answers(source: tuple[Source, Database]) -> None:
    """The cheap question, the certificate, an enrolled name without one, an unknown name."""
    opened, _ = source
    marks = opened.marks(["a.b", "new.b", "unknown.b"])
    assert marks == {"a.b": Mark(99, 77), "new.b": Mark(1, 0)}
    assert [mark.is_waiting for mark in marks.values()] == [False, True]
    offer = opened.fetch("a.b")
    assert offer is not None
    assert (offer.leaf_pem, offer.chain_pem) == (b"leaf", b"chain")
    empty = opened.fetch("new.b")
    assert empty is not None
    assert empty.leaf_pem == b""
    assert opened.marks([]) == {}
    assert opened.fetch("unknown.b") is None


def test_a_disabled_certificate(source: tuple[Source, Database]) -> None:
    """Its mark says so, and is the same otherwise; an account of before, whose view lacks the column, is answered."""
    opened, database = source
    database.execute("UPDATE certs SET enable = 'N' WHERE name = 'a.b'")
    database.execute("UPDATE certs SET enable = 'Y' WHERE name = 'new.b'")
    marks = opened.marks(["a.b", "new.b"])
    assert marks == {"a.b": Mark(99, 77), "new.b": Mark(1, 0)}
    assert [mark.disabled for mark in marks.values()] == [True, False]
    if isinstance(database, SqliteDatabase):
        database.execute("ALTER TABLE certs DROP COLUMN enable")
    else:
        view = "SELECT name, ts_last_update, ts_expire, crt, ca, rolled_back, statement FROM certs"
        database.execute(f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW agent_certs AS {view}")
    assert opened.marks(["a.b"]) == {"a.b": Mark(99, 77)}
    assert opened.marks(["a.b"])["a.b"].disabled is False


def test_a_certificate_that_is_far_too_large(source: tuple[Source, Database]) -> None:
    """It costs one byte more than the most that a certificate may have: enough to say so."""
    opened, database = source
    large = "zeroblob(12000000)" if isinstance(database, SqliteDatabase) else "REPEAT('x', 12000000)"
    if not isinstance(database, SqliteDatabase):
        database.execute("ALTER TABLE certs MODIFY crt LONGBLOB, MODIFY ca LONGBLOB")
    database.execute(f"UPDATE certs SET crt = {large}, ca = {large} WHERE name = 'a.b'")  # noqa: S608 - our own words
    offer = opened.fetch("a.b")
    assert offer is not None
    assert (len(offer.leaf_pem), len(offer.chain_pem)) == (LARGEST + 1, LARGEST + 1)
    with pytest.raises(ValueError, match="larger than 256000 bytes"):
        parse_bundle(offer.leaf_pem, offer.chain_pem)


@pytest.mark.soak
def test_a_row_of_blobs_in_a_file(host: Host, nginx: Nginx) -> None:
    """100 MB in a cell of a row: the process has no room for one and needs none; the other row goes on."""
    host.fill(2)
    small = ["prlimit", "--data=100000000"]
    assert host.run(wrap=small).code == 0
    large = "zeroblob(100000000)"
    host.sql(f"UPDATE certs SET crt = {large}, ca = 'x', ts_last_update = 2 WHERE name = ?", [NAME])  # noqa: S608
    done = host.run(wrap=small)
    assert [one["state"] for one in done.json["certificates"]] == ["unprovable", "refused"], done.err
    assert "larger than 256000 bytes" in done.err
    host.sql(f"UPDATE certs SET crt = 'x', ca = {large}, ts_last_update = 3 WHERE name = ?", [NAME])  # noqa: S608
    done = host.run("--retry", wrap=small)
    assert [one["state"] for one in done.json["certificates"]] == ["unprovable", "refused"], done.err
    host.sql("UPDATE certs SET ca = hex(zeroblob(100000000)), ts_last_update = 4 WHERE name = ?", [NAME])
    done = host.run("--retry", wrap=small)
    assert [one["state"] for one in done.json["certificates"]] == ["unprovable", "unreachable"], done.err
    assert "string or blob too big" in done.err
    host.sql(f"UPDATE certs SET ca = 'x', ts_last_update = {large} WHERE name = ?", [NAME])  # noqa: S608
    assert [one["state"] for one in host.run(wrap=small).json["certificates"]] == ["unprovable", "waiting"]


def test_text_in_another_encoding_in_a_file(tmp_path: Path) -> None:
    """SQLite keeps what an old script, or a thief, wrote in one row: the others are answered all the same."""
    database = SqliteDatabase(tmp_path)
    for statement in TABLES.split(";"):
        database.execute(statement)
    cells = ", ".join(["CAST(X'42FC726F' AS TEXT)"] * 6)
    for name in ("a.b", "odd.b"):
        columns = "name, enable, crt, ca, rolled_back, statement, ts_last_update, ts_expire"
        database.execute(f"INSERT INTO certs ({columns}) VALUES ('{name}', {cells}, 77)")  # noqa: S608
    database.execute("UPDATE certs SET enable = 'N', ts_last_update = 99, crt = 'leaf' WHERE name = 'a.b'")
    opened = SqliteSource(database.path, Waits())
    assert opened.marks(["a.b", "odd.b"]) == {"a.b": Mark(99, 77), "odd.b": Mark(0, 77)}
    assert opened.marks(["a.b"])["a.b"].disabled
    found = opened.fetch("odd.b")
    assert found is not None
    assert found.leaf_pem == b"B\xfcro"


def test_a_name_in_a_column_of_bytes_is_found(mariadb: MariaDB, tmp_path: Path) -> None:
    """A classic script may have made it so; the case of the letters is that of the table then."""
    database = mariadb.create_database()
    with contextlib.closing(open_source(Agents(database, tmp_path).settings(), tmp_path / "agent.toml")) as opened:
        database.execute("ALTER TABLE certs MODIFY name varbinary(250) NOT NULL")
        database.execute("INSERT INTO certs (name, ts_last_update, ts_expire) VALUES ('a.b', 99, 77)")
        assert opened.marks(["a.b"]) == {"a.b": Mark(99, 77)}


def test_a_report_replaces_the_one_before(source: tuple[Source, Database]) -> None:
    """One row for a name and a host, the newest."""
    opened, behind = source
    report(opened, Outcome.FAILED)
    report(opened)
    report(opened)
    rows = behind.query("SELECT name, host, sha256, not_after, state, detail, ts_report FROM installations")
    assert [tuple(row) for row in rows] == [("a.b", "host1", "f" * 64, 123, "installed", "a detail", 456)]


def test_two_accounts_report_the_same_host(agents: Agents) -> None:
    """Each has a row of its own: neither can take the other's place, or see it."""
    first, second = (open_source(agents.settings(), Path("x")) for _ in range(2))
    report(first)
    report(second, Outcome.FAILED)
    rows = agents.database.query("SELECT host, state FROM installations ORDER BY state")
    assert rows == [("host1", "failed"), ("host1", "installed")]
    assert second.confirm([a_result(Outcome.FAILED)], "host1", 457) == 1
    assert agents.database.query("SELECT ts_report FROM installations ORDER BY state") == [(457,), (456,)]
    first.close()
    second.close()


def test_a_confirmation_says_how_many_reports_it_found(source: tuple[Source, Database]) -> None:
    """One moment for all of them, and nothing else changes."""
    opened, behind = source
    report(opened)
    assert opened.confirm([a_result(), a_result(name="new.b")], "host1", 500) == 1
    assert opened.confirm([a_result()], "host2", 600) == 0
    assert opened.confirm([a_result(Outcome.FAILED)], "host1", 600) == 0
    assert opened.confirm([a_result(sha256="e" * 64)], "host1", 600) == 0
    rows = behind.query("SELECT name, host, sha256, state, detail, ts_report FROM installations")
    assert [tuple(row) for row in rows] == [("a.b", "host1", "f" * 64, "installed", "a detail", 500)]


def test_an_account_that_may_read_the_table_as_before(agents: Agents) -> None:
    """Its grants are those of an earlier version: it goes on with the table."""
    agents.enrol("a.b", b"leaf", b"chain", 99)
    with contextlib.closing(open_source(agents.settings(read="certs"), Path("x"))) as opened:
        assert opened.marks(["a.b"]) == {"a.b": Mark(99, 77)}
        offer = opened.fetch("a.b")
        assert offer is not None
        assert offer.went_back_to == ""
        report(opened)
        assert opened.confirm([a_result()], "host1", 500) == 1


def test_a_database_of_an_earlier_certfleet(agents: Agents) -> None:
    """No view of certificates, one row for a host: it is asked and told as before."""
    agents.execute(EARLIER)
    agents.enrol("a.b", b"leaf", b"chain", 99)
    with contextlib.closing(open_source(agents.settings(read="certs"), Path("x"))) as opened:
        assert opened.marks(["a.b"]) == {"a.b": Mark(99, 77)}
        offer = opened.fetch("a.b")
        assert offer is not None
        assert offer.leaf_pem == b"leaf"
        report(opened)
        assert opened.confirm([a_result()], "host1", 500) == 1
    other = open_source(agents.settings(read="certs"), Path("x"))
    both = [Result(name, Outcome.FAILED) for name in ("a.b", "c.d")]
    refused = other.report(both, "host1", 600)
    assert list(refused) == ["a.b"]
    assert "another account" in refused["a.b"].hint
    assert agents.database.query("SELECT state FROM installations WHERE name = 'c.d'") == [("failed",)]


def test_an_account_can_do_nothing_else(agents: Agents) -> None:
    """The rights the tests run with are the agent's: no write to certs, no sight of the table of reports."""
    settings = agents.settings()
    source = open_source(settings, Path("x"))
    assert isinstance(source, MysqlSource)
    source.marks(["a.b"])
    with source._cursor() as cursor, pytest.raises(pymysql.err.OperationalError, match="denied"):
        cursor.execute("UPDATE certs SET crt = ''")
    with source._cursor() as cursor, pytest.raises(pymysql.err.OperationalError, match="denied"):
        cursor.execute("SELECT * FROM installations")
    source.close()


def test_a_database_of_another_authority_is_refused(agents: Agents, tmp_path: Path) -> None:
    """TLS is verified: a certificate of an unknown authority ends it, with the reason."""
    wrong = Authority("Wrong").write(tmp_path / "wrong")
    source = open_source(agents.settings(tls_ca=wrong), Path("x"))
    with pytest.raises(SourceError, match="certificate verify failed") as caught:
        source.marks(["a.b"])
    assert "tls_ca" in caught.value.hint


@pytest.mark.parametrize(("content", "why"), [(None, "No such file or directory"), (b"", "NO_CERTIFICATE_OR_CRL")])
def test_the_authority_was_not_copied(agents: Agents, tmp_path: Path, content: bytes | None, why: str) -> None:
    """It is forgotten beside the password: the sentence names the file, not the server alone."""
    missing = tmp_path / "db-ca.pem"
    if content is not None:
        missing.write_bytes(content)
    source = open_source(agents.settings(tls_ca=missing), Path("x"))
    with pytest.raises(SourceError, match=f"{missing} is no readable file of certificates.*{why}") as caught:
        source.marks(["a.b"])
    assert "certfleet-issuer db tls" in caught.value.hint


def test_the_system_trusts_no_private_authority(agents: Agents) -> None:
    """Without tls_ca the system's trust store decides; never nobody."""
    settings = agents.settings()
    source = open_source(SourceSettings(settings.url, settings.password_file, None), Path("x"))
    with pytest.raises(SourceError, match="certificate verify failed"):
        source.marks(["a.b"])


def test_a_database_under_another_name_is_refused(agents: Agents) -> None:
    """The host name counts: the certificate is for localhost and 127.0.0.1, not for 127.0.0.2."""
    settings = agents.settings()
    url = settings.url.replace("localhost", "0.0.0.0")  # noqa: S104
    source = open_source(SourceSettings(url, settings.password_file, settings.tls_ca), Path("x"))
    with pytest.raises(SourceError, match=r"certificate verify failed.*IP address mismatch"):
        source.marks(["a.b"])


def test_a_unix_socket_needs_no_tls(agents: Agents) -> None:
    """Plain text passes where no network is."""
    settings = agents.settings()
    user = settings.url.split("//")[1].split("@")[0]
    agents.server.sql(f"ALTER USER `{user}`@`%` REQUIRE NONE")
    url = f"mysql://{user}@localhost/{agents.database.name}?unix_socket={agents.server.socket}"
    source = open_source(SourceSettings(url, settings.password_file, None), Path("x"))
    assert source.marks(["a.b"]) == {}
    source.close()


def test_a_wrong_password(agents: Agents, tmp_path: Path) -> None:
    """Access denied, with a hint; the password itself is nowhere."""
    settings = agents.settings()
    wrong = tmp_path / "wrong.password"
    wrong.touch(mode=0o600)
    wrong.write_text("secret-word ü€", encoding="utf-8")
    source = open_source(SourceSettings(settings.url, wrong, settings.tls_ca), Path("x"))
    with pytest.raises(SourceError, match="Access denied") as caught:
        source.marks(["a.b"])
    assert "password_file" in caught.value.hint
    assert "secret-word" not in repr(source) + str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://certs.example.com/certfleet/", "a later feature"),
        ("ftp://x", "must look like"),
        ("sqlite:///relative.db", "four slashes"),
        ("mysql://user@host/db?ssl_ca=/x", "must not carry ssl options"),
        ("mysql://user@host/db?ssl_verify_cert=false", "must not carry ssl options"),
        ("mysql://user@host/db?foo=1", "unknown option 'foo'"),
        ("mysql://user:secret-word@host/db", "must not hold a password"),
        ("mysql://user:wo?secret-word@host/db", "must not hold a password"),
        ("mysql://host/db", "must name user"),
        ("mysql://user@host", "must name user"),
        ("mysql://user@host:99999/db", "malformed port"),
        ("mysql://user@one,two/db", "must name one host"),
        ("mysql://user@one:3306,two:3306/db", "must name one host"),
    ],
)
def test_urls_that_cannot_be_meant(url: str, sentence: str) -> None:
    """Each is a configuration error with its path, and never prints a password."""
    with pytest.raises(ConfigError, match=sentence) as caught:
        open_source(SourceSettings(url), Path("agent.toml"))
    assert caught.value.findings[0].path == "source.url"
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("words", [["run"], ["check"], ["check", "--nagios"]])
def test_a_url_that_no_command_takes(host: Host, words: list[str]) -> None:
    """Each command says the same of it, a plugin in its one line."""
    entry = f'[[certificate]]\nname = "{NAME}"\nkey = "{host.key}"\nactivate = ["true"]\n'
    files = f'probe = []\n[certificate.files]\nfullchain = "{host.fullchain}"\n'
    source = f'state_dir = "{host.state_dir}"\n[source]\nurl = "https://certs.example.com/certfleet/"\n'
    host.config.write_text(source + entry + files)
    done = host.agent(*words)
    assert "a later feature" in done.out + done.err, done.out + done.err
    assert done.code != 0


def test_a_password_file_open_to_all(tmp_path: Path) -> None:
    """A secret that everybody can read is refused."""
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="its mode is 0644"):
        open_source(SourceSettings("mysql://u@h/d", file), Path("agent.toml"))
