"""A run of the agent over real database servers, and over those that are away, silent or read-only."""

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from agent.host.waits import Waits
from agent.model.errors import SourceError
from agent.source.sqlite import SqliteSource
from tests.agent.accounts import Agents, source_lines
from tests.agent.host import NAME, Host
from tests.servers.nginx import Nginx


def test_the_journey_over_a_server(agents: Agents, host: Host, nginx: Nginx) -> None:
    """The whole run with the real account: installed, proven, reported; again: nothing is written."""
    settings = agents.settings()
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=source_lines(settings))
    issued = host.sign()
    agents.enrol(NAME, issued.cert_pem, issued.chain_pem, 1000)
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served() == issued.certificate
    (row,) = agents.database.query("SELECT name, account, state FROM installations")
    assert row == (NAME, settings.url.split("//")[1].split("@")[0], "installed")
    agents.database.execute("UPDATE installations SET detail = 'untouched'")
    assert host.run().code == 0
    assert agents.database.query("SELECT detail FROM installations") == [("untouched",)]


def test_a_report_that_is_refused_is_kept_and_sent_later(agents: Agents, host: Host, nginx: Nginx) -> None:
    """No right to report: installed all the same, a warning, and the next run tells."""
    settings = agents.settings()
    user = settings.url.split("//")[1].split("@")[0]
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=source_lines(settings))
    issued = host.sign()
    agents.enrol(NAME, issued.cert_pem, issued.chain_pem, 1000)
    view = f"`{agents.database.name}`.`own_installations`"
    agents.server.sql(f"REVOKE INSERT, UPDATE ON {view} FROM `{user}`@`%`")
    done = host.run()
    assert done.code == 0
    assert "report.unsent" in done.err
    assert nginx.served() == issued.certificate
    assert host.agent("status", "--json").certificate["report_unsent"] is True
    agents.server.sql(f"GRANT INSERT, UPDATE ON {view} TO `{user}`@`%`")
    done = host.run()
    assert (done.code, done.err) == (0, "")
    assert agents.database.query("SELECT state FROM installations") == [("installed",)]
    assert host.agent("status", "--json").certificate["report_unsent"] is False


def test_a_server_that_is_read_only(own_agents: Agents, host: Host, nginx: Nginx) -> None:
    """A replica: installed all the same, with a warning that says what to do, once a run; told when it takes writes."""
    own_agents.server.read_only(True)
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert done.err.count("report.unsent") == 1
        assert "the server is read-only: it serves certificates, and takes no report" in done.err
        assert "name the primary in [source] url" in done.err
        assert nginx.served() == host.first.certificate
    own_agents.server.read_only(False)
    done = host.run()
    assert (done.code, done.err) == (0, "")
    assert own_agents.database.query("SELECT state FROM installations") == [("installed",)]


def test_a_database_that_is_down(host: Host, nginx: Nginx) -> None:
    """What is installed stays; exit code 1 with a sentence; told once it is back."""
    issued = host.offer_new()
    assert host.run().code == 0
    away = host.database.with_suffix(".away")
    host.database.rename(away)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unreachable")
    assert "there is no database" in done.err
    assert nginx.served() == issued.certificate
    assert host.agent("status").code == 1
    away.rename(host.database)
    assert host.run().code == 0
    assert host.agent("status").code == 0


def test_a_server_that_is_down(host: Host, nginx: Nginx, agents: Agents) -> None:
    """Nobody listens: a sentence that names host and port."""
    settings = agents.settings()
    lines = source_lines(settings).replace(f":{agents.server.port}/", ":1/")
    host.configure(check=nginx.check, activate=nginx.activate, probe=[], source=lines)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unreachable")
    assert "the database on localhost:1 cannot be used" in done.err


def test_a_silent_server_is_asked_once_for_all(host: Host) -> None:
    """Three certificates: one question, and one attempt to report; not a timeout for each of them. The reason is said
    once."""
    host.configure()
    host.fill(3)
    asked = []

    def hang_up(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                asked.append(connection)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=(server,))
        thread.start()
        url = f'url = "mysql://agent@127.0.0.1:{server.getsockname()[1]}/certfleet"'
        host.config.write_text(host.config.read_text().replace(f'url = "sqlite:///{host.database}"', url))
        done = host.run()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert [one["state"] for one in done.json["certificates"]] == ["unreachable"] * 3, done.err
    assert (done.err.count("what to do: "), done.err.count("for the same reason as ")) == (1, 2), done.err
    assert len(asked) == 2


def test_an_odd_cell_stops_nothing_but_its_row(host: Host) -> None:
    """SQLite keeps a word where a number belongs."""
    host.configure()
    host.fill(2)
    host.sql("UPDATE certs SET ts_last_update = 'odd' WHERE name = ?", [NAME])
    done = host.run()
    assert [one["state"] for one in done.json["certificates"]] == ["unprovable", "waiting"], done.err


def test_a_database_that_is_read_only(agents: Agents, host: Host, nginx: Nginx) -> None:
    """SQLite in a read-only folder: installed, and the report waits."""
    host.offer_new()
    script = f'mount --bind {host.database} {host.database} && mount -o remount,bind,ro {host.database} && "$@"'
    done = host.run(wrap=["unshare", "--mount", "sh", "-c", script, "sh"])
    assert done.code == 0, done.err
    assert "report.unsent" in done.err
    assert host.run().err == ""
    assert host.reported()["state"] == "installed"


def test_enrolled_and_waiting(host: Host, nginx: Nginx) -> None:
    """After populate: calm, not well, nothing touched. Not enrolled: the way to it is named."""
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "not-enrolled")
    assert f"certfleet-issuer populate {NAME}" in done.err
    assert "if it was removed on purpose, take it out of agent.toml" in done.err
    assert "look at how agent.toml spells it" in done.err
    host.offer(b"", b"", updated=1)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "waiting")
    assert "waiting for its first certificate" in done.err
    host.offer_new()
    assert host.run().code == 0


def test_a_database_without_tables(tmp_path: Path) -> None:
    """A file that is no certfleet database is a sentence with a hint."""
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(SourceError, match="no such table") as caught:
        SqliteSource(empty, Waits()).marks(["a.b"])
    assert "db upgrade" in caught.value.hint
    (tmp_path / "text.db").write_text("this is not a database at all, whatever its name" * 50)
    with pytest.raises(SourceError, match="not a database"):
        SqliteSource(tmp_path / "text.db", Waits()).marks(["a.b"])
