"""The connection over a network is encrypted and verified, always; there is no setting that would end that."""

from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.authority import Authority
from tests.servers.ports import free_port, release_port
from tests.servers.sql_server import SqlDatabase, SqlServer


@pytest.fixture
def secured(sql_server: SqlServer, tmp_path: Path) -> tuple[Box, SqlDatabase]:
    """A box and its empty database."""
    database = sql_server.create_database()
    return Box(tmp_path / "box", database), database


def test_a_verified_connection_is_encrypted(secured: tuple[Box, SqlDatabase]) -> None:
    """With the right CA file the issuer's own account, which may only come by TLS, gets in."""
    box, _ = secured
    box.ok("db", "upgrade")


def test_the_socket_of_this_machine_needs_no_tls(secured: tuple[Box, SqlDatabase]) -> None:
    """Plain text passes where no network is, with the password of the account."""
    box, database = secured
    database.server.sql(f"ALTER USER `{database.user}`@`%` REQUIRE NONE")
    url = f"mysql+pymysql://{database.user}@localhost/{database.name}?unix_socket={database.server.socket}"
    box.write(database={"url": url, "tls_ca": ""})
    box.ok("db", "upgrade")


def test_a_server_of_another_authority(secured: tuple[Box, SqlDatabase], tmp_path: Path) -> None:
    """A certificate that tls_ca did not sign is refused before the password is sent."""
    box, database = secured
    box.write(database={"tls_ca": str(Authority("Stranger").write(tmp_path / "stranger"))})
    says = ["CERTIFICATE_VERIFY_FAILED", "check tls_ca in [database]"]
    box.refused("db", "upgrade", code=1, says=says)
    assert database.query("SHOW TABLES") == []


def test_without_tls_ca_the_system_decides(secured: tuple[Box, SqlDatabase]) -> None:
    """No tls_ca means the system's trust store, never no verification."""
    box, database = secured
    box.write(database={"tls_ca": ""})
    box.refused("db", "upgrade", code=1, says=["CERTIFICATE_VERIFY_FAILED"])
    assert database.query("SHOW TABLES") == []


def test_a_host_name_that_is_not_in_the_certificate(secured: tuple[Box, SqlDatabase]) -> None:
    """The right CA is not enough: the server must prove the very name in the url."""
    box, database = secured
    host = f"127.1:{database.server.port}"  # another spelling of 127.0.0.1, for which the certificate is good
    box.write(database={"url": f"mysql+pymysql://{database.user}@{host}/{database.name}"})
    box.refused("db", "upgrade", code=1, says=[host, "CERTIFICATE_VERIFY_FAILED", "for exactly this host name"])
    assert database.query("SHOW TABLES") == []


def test_a_ca_file_that_is_none(secured: tuple[Box, SqlDatabase]) -> None:
    """A missing or empty file is a finding of the configuration."""
    box, database = secured
    for file in ("/nowhere/ca.pem", str(database.password_file)):
        box.write(database={"tls_ca": file})
        box.refused("db", "upgrade", code=2, says=["database.tls_ca", file])


def test_several_hosts_are_tried_in_turn(secured: tuple[Box, SqlDatabase]) -> None:
    """The first host is down: the second one is used; when all are down the sentence names them all."""
    box, database = secured
    dead = free_port()
    url = f"mysql+pymysql://{database.user}@localhost:{dead},localhost:{database.server.port}/{database.name}"
    box.write(database={"url": url})
    box.ok("db", "upgrade")
    box.write(database={"url": f"mysql+pymysql://{database.user}@localhost:{dead},localhost:1/{database.name}"})
    box.refused("status", code=1, says=[f"localhost:{dead}, localhost:1"])
    release_port(dead)
