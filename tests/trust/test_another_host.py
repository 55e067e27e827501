"""Root on one host of the fleet, and somebody between a host and those who connect to it."""

import ssl
from pathlib import Path

from agent.model.result import Outcome, Result
from agent.settings.config import SourceSettings
from agent.source.mysql import MysqlSource
from agent.source.open import open_source
from tests.agent.accounts import Agents, source_lines
from tests.agent.host import NAME, Host
from tests.servers.authority import Authority
from tests.servers.line import Line
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.trust.conftest import OTHER
from tests.trust.test_agents_account import done
from tests.trust.thief import Thief


def opened(settings: SourceSettings) -> MysqlSource:
    """The database with the files of an agent."""
    source = open_source(settings, Path("agent.toml"))
    assert isinstance(source, MysqlSource)
    return source


def all_he_reads(host: Host, source: MysqlSource) -> bytes:
    """Every file of his host, and every row that its account shows."""
    files = [file.read_bytes() for file in host.folder.rglob("*") if file.is_file()]
    rows = []
    for table in ("agent_certs", "own_installations", "certs", "installations"):
        if done(source, f"SELECT * FROM {table}"):  # noqa: S608
            with source._cursor() as cursor:
                cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
                rows += [str(row).encode() for row in cursor.fetchall()]
    return b"".join([*files, *rows])


def is_taken_for(name: str, chain: Path, key: Path, roots: Path) -> bool:
    """A server with this pair, and a client that knows *roots* and asks for *name*."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=roots)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        server.load_cert_chain(chain, key)
        shows, asks = server.wrap_bio(there, back, server_side=True), client.wrap_bio(back, there, server_hostname=name)
        for _ in range(2):
            for one in (asks, shows):
                try:
                    one.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLError:
        return False
    return asks.version() is not None and shows.version() is not None


def test_another_host_of_the_fleet(agents: Agents, host: Host, tmp_path: Path) -> None:
    """He is his host, and no other one: keys stay at home, and an account writes its own reports alone."""
    thief = Thief("Another host of the fleet")
    his = Host(tmp_path / "his", OTHER)
    his.make_key()
    his.put_placeholder()
    settings = agents.settings()
    for one, source in ((host, agents.settings()), (his, settings)):
        one.configure(source=source_lines(source))
        issued = one.sign()
        agents.enrol(one.name, issued.cert_pem, issued.chain_pem)
        assert one.run().code == 0
    account, good = opened(settings), host.fullchain.read_bytes()
    loot = all_he_reads(his, account)
    assert good.splitlines()[5] in loot, "certificates are for everybody"
    thief.tries("to be taken for his host elsewhere", got=is_taken_for(OTHER, his.fullchain, his.key, his.roots))
    pairs = ((host.fullchain, host.roots), (his.fullchain, his.roots))
    got = any(is_taken_for(NAME, chain, his.key, roots) for chain, roots in pairs)
    thief.tries("to be taken for another host", got=got)
    thief.tries("the key of another host", got=host.key.read_bytes().splitlines()[1] in loot)
    thief.tries("what other hosts report", got=NAME.encode() in _reports(account))
    for statement in (
        "UPDATE agent_certs SET crt = 'his', ts_last_update = 2000",
        "REPLACE INTO agent_certs (name, crt, ts_last_update) VALUES ('www.example.test', 'his', 2000)",
        "DELETE FROM agent_certs",
        "UPDATE certs SET crt = 'his', ts_last_update = 2000",
        "DELETE FROM own_installations",
    ):
        assert not done(account, statement)
    account.report([Result(NAME, Outcome.INSTALLED, "his")], "host1", 1)
    assert host.run().code == 0
    thief.tries("another certificate on another host, by rows and reports", got=host.fullchain.read_bytes() != good)
    his.put_placeholder()
    account.report([Result(OTHER, Outcome.INSTALLED)], "host2", 1)
    said = agents.database.query("SELECT state FROM installations WHERE host = 'host2'")
    thief.tries("that his own host is taken for well", got=said == [("installed",)])
    account.close()
    agents.server.sql(f"DROP USER `{account._address.user}`@`%`")
    thief.tries("the database, once his account is dropped", got=done(opened(settings), "SELECT name FROM agent_certs"))
    thief.is_told()


def _reports(source: MysqlSource) -> bytes:
    with source._cursor() as cursor:
        cursor.execute("SELECT * FROM own_installations")
        return str(cursor.fetchall()).encode()


def test_the_line_to_clients(host: Host, tmp_path: Path) -> None:
    """The agent's probe is a client: it goes by what it is shown on the way that `probe` names."""
    thief = Thief("The line between a host and its clients")
    other = Authority("His CA").issue([NAME]).write(tmp_path / "his")
    with (
        Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as real,
        Nginx(tmp_path / "other", other.fullchain, other.key, name=NAME) as pose,
        Line((LOOPBACK, real.port)) as line,
    ):
        host.configure(check=real.check, activate=real.activate, probe=[f"https://127.0.0.1:{line.port}"])
        host.offer_new()
        assert host.run().code == 0
        new = host.offer_new()
        line.server = (LOOPBACK, pose.port)
        assert host.run().code == 1
        what = "that no new certificate comes, by another one on the way of a probe"
        thief.tries(what, got=host.fullchain.read_bytes() != new.fullchain_pem)
        host.configure(
            check=real.check,
            activate=real.activate,
            probe=[f"https://127.0.0.1:{line.port}?connect=127.0.0.1:{real.port}"],
        )
        host.run("--retry")
        thief.tries("the same with `?connect=127.0.0.1:443`", got=host.fullchain.read_bytes() != new.fullchain_pem)
    thief.is_told()
