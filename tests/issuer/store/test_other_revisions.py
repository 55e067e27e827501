"""Tables of another version of certfleet: every command says so before it does anything, and the daemon too."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from issuer.model.config import DatabaseSettings
from issuer.model.failure import Failure
from issuer.store.certificates import Certificates
from issuer.store.database import Database as Store
from issuer.store.holds import Holds
from issuer.store.revision import NEEDED
from issuer.store.tables import LEGACY_COLUMNS
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.signing_requests import csr
from tests.issuer.store import legacy_table
from tests.servers.database import Database
from tests.servers.lab import Lab
from tests.servers.process import wait_until

NAME = "www.example.test"
COMMANDS = (
    *(["status"], ["status", NAME], ["run"], ["issue", NAME], ["reissue", "--all"], ["history", NAME], ["daemon"]),
    *(["populate", "new.example.test", "--csr", "-"], ["enable", NAME], ["disable", NAME], ["remove", NAME, "--yes"]),
    *(["challenges", NAME], ["solve", NAME], ["request", NAME], ["rollback", NAME], ["revoke", NAME, "--yes"]),
)
NEW = ("last_what", "last_why", "last_hint", "last_url", "last_asked", "ari_start", "ari_end")
OPENED_FOR = {
    "by hand": "by hand",
    "first certificate": "first",
    "renewal": "renewal",
    "renewal, as the CA suggests": "suggested",
    "the CA wants it replaced now": "incident",
    "expired": "expired",
    "the stored certificate cannot be parsed": "damaged",
    "reissue asked for by hand": "reissue asked for by hand",
    None: "None",
}
CAUSES = "SELECT name, reason FROM orders"


def grow_old(database: Database) -> None:
    """As the release before has left it."""
    for column in NEW:
        database.execute(f"ALTER TABLE certs DROP COLUMN {column}")
    database.execute("UPDATE alembic_version SET version_num = '0005'")


def test_the_revision_needed_is_the_newest_one() -> None:
    """What is compared with at each start is what Alembic, which is not loaded for it, would upgrade to."""
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == NEEDED


def test_tables_of_an_older_version(either_box: Box) -> None:
    """Nothing is done, and the CA is not asked, until `db upgrade`; then all goes on."""
    either_box.enrol(NAME)
    either_box.ok("issue", NAME)
    grow_old(either_box.database)
    before = either_box.contents()
    says = [f"the database is at revision 0005, this certfleet needs {NEEDED}", "run `certfleet-issuer db upgrade`"]
    for words in COMMANDS:
        either_box.refused(*words, code=1, says=says, stdin=csr(["new.example.test"]))
    assert either_box.contents() == before
    either_box.fails("db", "status", says=says)
    either_box.fails("check", NAME, says=["revision 0005", "run `certfleet-issuer db upgrade`"])
    either_box.ok("db", "upgrade")
    either_box.ok("revoke", NAME, "--yes")


@pytest.mark.soak
def test_what_the_release_before_has_written(database: Database, tmp_path: Path) -> None:
    """A failure, a window, a hold in one text each, and orders opened for reasons in words: all keep their sense."""
    box = Box(tmp_path / "box", database)
    box.set_up()
    box.populate(NAME)
    grow_old(database)
    failure = "last_error = 'the zone: refused (mend it)', last_reference = 'dns', count_fail_update = 2"
    database.execute(f"UPDATE certs SET {failure}, due_at = 9, ari_at = 7, ari_window = '5-9'")  # noqa: S608
    for reason, cause in OPENED_FOR.items():
        words = "NULL" if reason is None else f"'{reason}'"
        columns = "name, state, directory, reason, created_at, updated_at"
        database.execute(f"INSERT INTO orders ({columns}) VALUES ('{cause}', 'STORED', '', {words}, 1, 1)")  # noqa: S608
    database.execute(f"INSERT INTO holds (account, scope, until, reason) VALUES ('a', '{NAME}', 99, 'too many: 5')")  # noqa: S608
    box.ok("db", "upgrade")
    [entry] = box.run("status", "--json").report()["certificates"]
    told = dict.fromkeys(("why", "hint", "url", "asked")) | {"what": "the zone: refused (mend it)", "reference": "dns"}
    assert (entry["failure"], entry["last_error"]) == (told, told["what"])
    with closing(Store(DatabaseSettings(database.url, database.password_file, database.tls_ca))) as store:
        [row] = Certificates(store).get([NAME])
        assert row.ari_window == (5, 9)
        assert Holds(store).until("a", NAME, 9) == (99, Failure("too many: 5"))
        Certificates(store).save_renewal_info(replace(row, ari_window=(6, 8)), "")
        assert Certificates(store).get([NAME])[0].ari_window == (6, 8)
    assert all(str(cause) == name for name, cause in database.query(CAUSES))
    database.execute("UPDATE alembic_version SET version_num = '0005'")
    box.ok("db", "upgrade")  # as after one that was cut off
    assert all(str(cause) == name for name, cause in database.query(CAUSES))


def test_tables_of_a_newer_version(lone_box: Box) -> None:
    """An upgrade would not help: the newer certfleet is wanted here."""
    lone_box.populate(NAME)
    lone_box.database.execute("UPDATE alembic_version SET version_num = '9999'")
    before = lone_box.contents()
    for words in COMMANDS:
        says = ["the database is at revision 9999", "belongs to a newer certfleet"]
        lone_box.refused(*words, code=1, says=says, stdin=csr(["new.example.test"]))
    assert lone_box.contents() == before
    for words in (["db", "status"], ["db", "upgrade"], ["check"]):
        outcome = lone_box.fails(*words, says=["revision 9999", "belongs to a newer certfleet"])
        assert "db upgrade" not in outcome.out + outcome.err


def test_a_daemon_beside_which_the_tables_change(box: Box) -> None:
    """It begins nothing, /healthz is 503 with the reason, and after the upgrade it goes on by itself."""
    with Service(box) as service:
        wait_until(lambda: service.get("/healthz")[0] == 200, "the daemon is well")
        grow_old(box.database)
        wait_until(lambda: service.get("/healthz")[0] == 503, "/healthz says that it cannot work")
        assert service.get("/healthz")[1] == f"the database is at revision 0005, this certfleet needs {NEEDED}\n"
        box.ok("db", "upgrade")
        service.wait_stored(box.enrol(NAME))
        assert service.get("/healthz") == (200, "ok\n")


@pytest.mark.soak
@pytest.mark.parametrize("missing", ["", "md5_ca"], ids=["as it was", "without a column"])
def test_status_before_an_adoption(database: Database, tmp_path: Path, missing: str) -> None:
    """A look before one writes: how many rows there are, and what is in the way of adopting them."""
    engine = "sqlite" if database.url.startswith("sqlite") else "InnoDB"
    database.execute("CREATE TABLE another (a integer)")
    box = Box(tmp_path / "box", database)
    box.fails("db", "status", says=["there is no table certs yet: an upgrade creates it"])
    assert box.run("db", "status", "--json").report()["certs_to_adopt"] is None
    database.execute(legacy_table.ddl(engine, without=missing))
    for name in ("one.example.test", "two.example.test"):
        database.execute(f"INSERT INTO certs (name) VALUES ('{name}')")  # noqa: S608
    said = (
        "lacks the columns md5_ca: an upgrade refuses it" if missing else "can be adopted: an upgrade changes no value"
    )
    box.fails("db", "status", says=["revision none", f"there is a table certs with 2 rows that {said}"])
    report = box.run("db", "status", "--json").report()
    assert report["certs_to_adopt"] == {"rows": 2, "missing": [missing] if missing else []}
    assert box.run("db", "upgrade").code == (1 if missing else 0)
    assert legacy_table.COLUMNS == LEGACY_COLUMNS


def test_a_database_that_is_away_is_no_other_revision(lab: Lab, lone_box: Box) -> None:
    """A daemon that starts before its database waits for it, and issues once it is there."""
    lone_box.bind = lab.bind
    lone_box.trust(lab.pebble)
    key = lab.bind.tsig_key("acme")
    lone_box.write(dns={"server": lab.bind.address, "port": lab.bind.port, "tsig_key_file": str(key)})
    lone_box.write(dns={"nameservers": [lab.bind.endpoint]})
    name = lone_box.enrol(NAME)
    file = Path(lone_box.database.url.removeprefix("sqlite://"))
    away = file.rename(file.with_suffix(".away"))
    with Service(lone_box) as service:
        service.wait_logged("database.away")
        assert service.get("/healthz")[0] == 503
        away.rename(file)
        service.wait_stored(name)
