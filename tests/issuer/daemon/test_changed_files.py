"""Files that issuer.toml names and that change while the daemon runs: it takes them up by itself."""

import dataclasses
import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from pymysql.err import OperationalError

from common.files import write_atomic
from issuer.model.config import (
    AcmeSettings,
    CaSettings,
    DatabaseSettings,
    DnsSettings,
    NotifySettings,
    Settings,
    WebrootSettings,
    ZoneSettings,
)
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.authority import Authority
from tests.servers.lab import Lab
from tests.servers.mariadb import MariaDB
from tests.servers.process import wait_until
from tests.servers.sql_server import SqlDatabase

NAME = "www.example.test"


def lose_connections(database: SqlDatabase) -> None:
    """What a restart of the server would do."""
    user = f"user = '{database.user}'"
    for (number,) in database.query(f"SELECT id FROM information_schema.processlist WHERE {user}"):  # noqa: S608
        with suppress(OperationalError):  # it has ended by itself
            database.execute(f"KILL {number}")


def test_a_rotated_password_of_the_database(mariadb: MariaDB, lab: Lab, tmp_path: Path) -> None:
    """The server has the new password first: the daemon waits for its file, and goes on when that is written."""
    database = mariadb.create_database()
    box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.set_up()
    with Service(box) as service:
        service.wait_stored(box.enrol(NAME))
        password = secrets.token_urlsafe(16)
        database.execute(f"ALTER USER `{database.user}`@`%` IDENTIFIED BY '{password}'")
        lose_connections(database)
        service.wait_logged("database.away")
        write_atomic(database.password_file, f"{password}\n".encode(), mode=0o600)
        [changed] = service.wait_logged("configuration.file_changed")
        assert changed["files"] == [str(database.password_file)]
        service.wait_logged("database.back")
        service.wait_stored(box.enrol("mail.example.test"))
        assert password not in service.log_file.read_text(encoding="utf-8")


def test_a_renewed_ca_bundle(box: Box, lab: Lab, tmp_path: Path) -> None:
    """A CA whose own certificate comes from a new root is trusted once that root stands in the file."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Authority("Old Root").write(tmp_path / "old").read_bytes())
    box.write(acme={"ca_bundle": str(bundle)}, renewal={"retry": ["2s"]})
    box.enrol(NAME)
    with Service(box) as service:
        service.wait_logged("certificate.failed")
        with bundle.open("wb") as stream:  # in place, and slowly
            stream.write(lab.pebble.ca_file.read_bytes()[:100])
            stream.flush()
            os.fsync(stream.fileno())
            stream.write(lab.pebble.ca_file.read_bytes()[100:])
        service.wait_stored(NAME)


@pytest.mark.soak
def test_a_changed_file_that_cannot_be_used_is_refused_once(box: Box) -> None:
    """The old generation goes on with what it has read; a sound file is taken up again. An issuer.toml that somebody is
    just writing is not read for that."""
    good = Path(box.document["dns"]["tsig_key_file"]).read_bytes()
    key = box.folder / "issuer.key"
    write_atomic(key, good, mode=0o600)
    box.write(dns={"tsig_key_file": str(key)})
    with Service(box) as service:
        box.config.write_text("half wri", encoding="utf-8")
        write_atomic(key, b"key {", mode=0o600)
        service.wait_logged("configuration.kept")
        box.write()
        service.wait_stored(box.enrol(NAME))
        service.wait_stored(box.enrol("mail.example.test"))
        assert len(service.logged("configuration.kept")) == 1
        box.config.write_text("half wri", encoding="utf-8")
        write_atomic(key, good, mode=0o600)
        service.wait_logged("configuration.files_taken")
        assert len(service.logged("configuration.file_changed")) == 2


def test_a_configuration_that_is_refused_stays_so_when_a_file_changes(box: Box) -> None:
    """The file is taken up with the old settings, and the status goes on telling of the refusal until the configuration
    is read anew."""
    key = box.folder / "issuer.key"
    good = Path(box.document["dns"]["tsig_key_file"]).read_bytes()
    write_atomic(key, good, mode=0o600)
    box.write(dns={"tsig_key_file": str(key)})
    with Service(box) as service:

        def statuses() -> list[str]:
            return [message for message in service.listen() if message.startswith("STATUS=")]

        box.config.write_text("half wri", encoding="utf-8")
        service.send(signal.SIGHUP)
        service.wait_heard("; the changed configuration is refused")
        before = len(statuses())
        for number, content in enumerate((b"key {", good), 2):
            write_atomic(key, content, mode=0o600)
            wait_until(lambda many=number: _reloads(service) == many, "the changed file is read")  # type: ignore[misc]
        box.write()
        service.wait_stored(box.enrol(NAME))
        told = statuses()[before:]
        assert told == [status for status in told if "the changed configuration is refused" in status] != []
        assert (service.logged("configuration.taken"), len(service.logged("configuration.files_taken"))) == ([], 1)
        service.send(signal.SIGHUP)
        service.wait_logged("configuration.taken")
        wait_until(lambda: "refused" not in statuses()[-1], "the status tells of no refusal any more")


def _reloads(service: Service) -> int:
    """How often the daemon has built everything anew, or tried to."""
    words = ("configuration.kept", "configuration.taken", "configuration.files_taken")
    return sum(len(service.logged(word)) for word in words)


def test_every_file_that_is_kept_in_memory_is_known() -> None:
    """Each setting that names a file, in each section, and the account keys that nobody named."""
    numbers = iter(range(100))

    def every(kind: type, **more: object) -> object:
        paths = {each.name: Path(f"/{next(numbers)}") for each in dataclasses.fields(kind) if "Path" in str(each.type)}
        return kind(**paths, **more)

    fallback = (every(CaSettings, directory="https://one/dir", eab_kid="a"), CaSettings(directory="https://two/dir"))
    settings = Settings(
        database=every(DatabaseSettings),  # type: ignore[arg-type]
        acme=every(AcmeSettings, eab_kid="a", fallback=fallback),  # type: ignore[arg-type]
        dns=every(DnsSettings, zone=(every(ZoneSettings, name="example.test"),)),  # type: ignore[arg-type]
        webroot=every(WebrootSettings),  # type: ignore[arg-type]
        notify=every(NotifySettings, smtp_user="u", smtp_starttls=True),  # type: ignore[arg-type]
    )
    count = next(numbers)
    assert count >= 14
    assert settings.files == {*(Path(f"/{number}") for number in range(count)), settings.state_dir / "account.pem"}
