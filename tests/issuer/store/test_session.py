"""A server whose settings change what clients read: the session of issuer and agent is their own."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.settings.config import SourceSettings
from tests.agent.accounts import source_lines
from tests.agent.host import NAME, Host
from tests.issuer.box import Box
from tests.issuer.store import legacy_table
from tests.issuer.store.opened import opened
from tests.servers.lab import Lab
from tests.servers.mysql import MAKES
from tests.servers.sql_server import SqlServer

MODES = {  # by make: modes that only one of them knows
    "mariadb": "EMPTY_STRING_IS_NULL,ORACLE,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,SIMULTANEOUS_ASSIGNMENT",
    "mysql": "ANSI,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE",
}
INIT_CONNECT = (  # for every account but administrators
    "SET NAMES latin1; SET SESSION sql_select_limit = 1, sql_big_selects = 0, max_join_size = 1, sql_safe_updates = 1,"
    " completion_type = 2, autocommit = 0, sql_quote_show_create = 0, unique_checks = 0, time_zone = '-11:00';"
    " SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"
)


@pytest.fixture(params=MAKES, scope="module")
def odd_server(request: pytest.FixtureRequest) -> Iterator[SqlServer]:
    """A server of each make with such settings."""
    options = ("--transaction-isolation=SERIALIZABLE", f"--init-connect={INIT_CONNECT}")
    with MAKES[request.param](options=options) as server:
        server.sql(f"SET GLOBAL sql_mode = '{MODES[request.param]}'")
        yield server


@pytest.mark.soak
def test_a_certificate_is_issued_and_installed(odd_server: SqlServer, lab: Lab, tmp_path: Path) -> None:
    """The whole way: upgrade of an old table, order, renewal, `status` of many, and an agent's run."""
    database = odd_server.create_database()
    database.execute(legacy_table.ddl("InnoDB"))
    box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    names = [box.enrol(NAME), box.enrol("second.example.test"), box.enrol("third.example.test")]
    assert box.ok("run").out.count(": stored") == len(names)
    assert [fact["name"] for fact in box.ok("status", "--json").report()["certificates"]] == sorted(names)
    box.ok("reissue", NAME)
    assert len(box.ok("history", NAME, "--json").report()["versions"]) == 2
    box.ok("disable", NAME)
    host = Host(tmp_path / "host")
    host.make_key()
    odd_server.sql("CREATE USER `agent`@`%` IDENTIFIED BY 'secret' REQUIRE SSL")
    for grant in box.ok("db", "grants", "agent").out.splitlines():
        odd_server.sql(grant.removesuffix(";"))
    password = tmp_path / "agent.password"
    password.touch(mode=0o600)
    password.write_text("secret\n")
    url = f"mysql://agent@{odd_server.host}:{odd_server.port}/{database.name}"
    host.configure(probe=[], source=source_lines(SourceSettings(url, password, database.tls_ca)))
    issued = host.sign()
    pair = f"crt = X'{issued.cert_pem.hex()}', ca = X'{issued.chain_pem.hex()}'"
    database.execute(f"UPDATE certs SET {pair} WHERE name = '{NAME}'")  # noqa: S608
    assert host.run().certificate["state"] == "unprovable"
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert database.query("SELECT TRIM(name), TRIM(state) FROM installations") == [(NAME, "unprovable")]


def test_what_nothing_else_would_show(odd_server: SqlServer) -> None:
    """An uncommitted certificate is never read, a COMMIT keeps the connection, an index keeps its promise."""
    database = odd_server.create_database()
    with closing(opened(database)) as store:
        query = "SHOW SESSION VARIABLES"
        found = dict(store.read(lambda connection: [tuple(row) for row in connection.exec_driver_sql(query)]))
    isolation = {value for name, value in found.items() if name in ("tx_isolation", "transaction_isolation")}
    assert isolation == {"REPEATABLE-READ"}
    ours = ("completion_type", "unique_checks", "time_zone", "character_set_results", "autocommit")
    assert [found[name] for name in ours] == ["NO_CHAIN", "ON", "+00:00", "utf8mb4", "OFF"]
