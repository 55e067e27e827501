"""Somebody on the network between the database and those who use it: real servers, and certificates of real CAs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.settings.config import SourceSettings
from common.certificate import fingerprint
from tests.agent.accounts import VIEWS, Agents, source_lines
from tests.agent.host import NAME, TABLES, Host
from tests.agent.signing_issuer import SigningIssuer
from tests.issuer.box import Box
from tests.servers import sql_folder
from tests.servers.authority import Authority, Issued
from tests.servers.line import MysqlLine
from tests.servers.mariadb import MariaDB
from tests.servers.sql_server import SqlDatabase, SqlServer
from tests.trust.thief import Thief

Visit = Callable[[], int]
"""One run of an agent or of an issuer: its exit code."""


@pytest.fixture
def line(sql_server: SqlServer) -> Iterator[MysqlLine]:
    """The thief, before the server."""
    with MysqlLine(("127.0.0.1", sql_server.port)) as running:
        yield running


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A CA that the system trusts."""
    authority = Authority("A public CA")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "public")))
    return authority


@pytest.fixture
def settings(agents: Agents, line: MysqlLine) -> SourceSettings:
    """A new account of an agent, which reaches the database by way of the thief."""
    made = agents.settings()
    return replace(made, url=made.url.replace(f":{agents.server.port}/", f":{line.port}/"))


class TheAgent:
    """The host's agent, as agent.toml is written for each run."""

    def __init__(self, host: Host, issuer: SigningIssuer, settings: SourceSettings) -> None:
        self.host, self.issuer, self.settings = host, issuer, settings

    def run(self, *, tls_ca: bool = True, issuer_key: bool = True) -> int:
        source = source_lines(self.settings if tls_ca else replace(self.settings, tls_ca=None))
        self.host.configure(source=source, issuer_key=self.issuer.key_text if issuer_key else "")
        return self.host.run().code


@pytest.fixture
def agent(host: Host, agents: Agents, settings: SourceSettings, tmp_path: Path) -> TheAgent:
    """It knows the issuer's key."""
    return TheAgent(host, SigningIssuer(host, tmp_path / "issuer", agents.database.execute), settings)


@pytest.fixture
def box(line: MysqlLine, agents: Agents, tmp_path: Path) -> Box:
    """An issuer that reaches a database of its own by way of the thief."""
    database = agents.server.create_database()
    assert isinstance(database, SqlDatabase)
    made = Box(tmp_path / "box", database)
    made.set_up()
    made.write(database={"url": database.url.replace(f":{agents.server.port}/", f":{line.port}/")})
    return made


def test_the_line_to_the_database(
    line: MysqlLine, agent: TheAgent, box: Box, public: Authority, tmp_path: Path
) -> None:
    """He learns nothing and changes nothing without a certificate for the server's name. One with it is the database,
    and decides no more than what he holds back, where agent.toml names the issuer's key."""
    thief = Thief("The line to the database")
    host, issuer = agent.host, agent.issuer
    old, new = host.sign(), host.sign()
    signed = [(old, issuer.sign(old)), (new, issuer.sign(new))]
    for offer in signed:
        issuer.offer(*offer)
        assert agent.run() == 0
    box.ok("status")
    password, user = _password(agent.settings), agent.settings.url.split("//")[1].split("@")[0]
    words = [password, user, NAME, "SELECT", "BEGIN CERTIFICATE"]
    thief.tries("a look at what passes", got=any(word.encode() in line.seen for word in words))

    visits: list[Visit] = [agent.run, lambda: box.run("status").code]
    line.strip()
    thief.tries("the same, by saying that the server speaks no TLS", got=_lets_in(line, visits, user))
    for told in (host.run().err, box.run("status").err):
        assert "db tls" in told
    line.down = bytes
    for what, names, authority in (
        ("the password, by a certificate of a CA of his", ["localhost"], Authority("His CA")),
        ("the same by a certificate of a public CA, with `tls_ca`", ["localhost"], public),
    ):
        line.pose_with(authority.issue(names).write(tmp_path / "his"))
        thief.tries(what, got=_lets_in(line, visits, user))
    easy: list[Visit] = [lambda: agent.run(tls_ca=False)]
    line.pose_with(public.issue(["thief.test"]).write(tmp_path / "his"))
    what = "the same without `tls_ca`, by a certificate of a public CA for a name of his"
    thief.tries(what, got=_lets_in(line, easy, user))
    line.pose_with(public.issue(["localhost"]).write(tmp_path / "his"))
    what = "the same without `tls_ca`, by a certificate of a public CA for the server's name"
    thief.tries(what, got=_lets_in(line, easy, user) and line.password == password)
    line.pose_with(None)

    with his_server(line, agent.settings, public) as offer_his:
        offer_his(Authority("His CA").sign((host.folder / "host.csr").read_bytes()), None)
        agent.run(tls_ca=False, issuer_key=False)
        thief.tries("then a certificate of his CA on the host", got=host.fullchain.read_bytes() != new.fullchain_pem)
        offer_his(*signed[0])
        agent.run(tls_ca=False)
        what = "then an earlier certificate of the host, with `issuer_key`"
        thief.tries(what, got=host.fullchain.read_bytes() != new.fullchain_pem)
        agent.run(tls_ca=False, issuer_key=False)
        thief.tries("the same without `issuer_key`", got=host.fullchain.read_bytes() == old.fullchain_pem)
    newest = host.sign()
    issuer.offer(newest, issuer.sign(newest))
    line.up = lambda _: None
    assert agent.run() == 1, "it says so"
    thief.tries("that no certificate comes", got=host.fullchain.read_bytes() != newest.fullchain_pem)
    line.up = bytes
    assert agent.run() == 0
    assert host.fullchain.read_bytes() == newest.fullchain_pem
    thief.is_told()


def _lets_in(line: MysqlLine, visits: list[Visit], user: str) -> bool:
    """Does one of them give something away? Each has to end with 1."""
    line.seen, line.met, line.password = b"", 0, ""
    codes = [visit() for visit in visits]
    assert line.met >= len(visits), "he was in between"
    assert set(codes) == {1}
    return bool(line.password) or user.encode() in line.seen


def _password(settings: SourceSettings) -> str:
    assert settings.password_file is not None
    return settings.password_file.read_text().strip()


@contextmanager
def his_server(
    line: MysqlLine, settings: SourceSettings, public: Authority
) -> Iterator[Callable[[Issued, str | None], None]]:
    """A server of his in place of the real one, which takes the stolen password. It hands out what he offers as a
    certificate that was gone back to."""
    server = MariaDB()
    public.issue([server.host]).write(server.folder)
    sql_folder.give_away(server.folder)
    user, name = settings.url.split("//")[1].split("@")[0], settings.url.rsplit("/", 1)[1]

    def offer(issued: Issued, statement: str | None) -> None:
        crt, ca, sha256 = issued.cert_pem.hex(), issued.chain_pem.hex(), fingerprint(issued.certificate)
        said = f"'{statement}'" if statement else "NULL"
        server.sql(
            "REPLACE INTO certs (name, crt, ca, ts_last_update, rolled_back, statement) VALUES"  # noqa: S608
            f" ('{NAME}', x'{crt}', x'{ca}', UNIX_TIMESTAMP(NOW(6)) * 1000000, '{sha256}', {said})",
            name,
        )

    try:
        server.start()
        server.sql(f"CREATE DATABASE `{name}`")
        for statement in filter(str.strip, f"{TABLES};{VIEWS}".split(";")):
            server.sql(statement, name)
        server.sql(f"CREATE USER `{user}`@`%` IDENTIFIED BY '{line.password}'")
        server.sql(f"GRANT ALL ON `{name}`.* TO `{user}`@`%`")
        real, line.server = line.server, ("127.0.0.1", server.port)
        yield offer
        line.server = real
    finally:
        server.close()
