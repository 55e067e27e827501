"""Keystores: made on the host, read by other people's tools, and left alone as long as what is inside is right."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.certificate import serial_text
from tests.agent.host import NAME, Host
from tests.servers.process import program

PASSWORD = "one two ü"


@pytest.fixture
def store(host: Host) -> Path:
    """The path of a keystore that agent.toml names; a reload leaves a line."""
    file = host.live / "www.p12"
    (host.folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    (host.folder / "password").chmod(0o600)
    configure(host, file)
    return file


def configure(host: Host, file: Path, more: str = "") -> None:
    words = f'[[certificate.keystore]]\npath = "{file}"\npassword_file = "{host.folder}/password"\n{more}\n'
    host.configure(activate=["sh", "-c", f"echo >> {host.folder}/reloads"], files=" ", more=words)


def reloads(host: Host) -> int:
    return (host.folder / "reloads").read_text().count("\n")


def opened(file: Path, *options: str, password: str = PASSWORD) -> str:
    command = [program("openssl", "openssl"), "pkcs12", "-in", str(file), "-passin", f"pass:{password}", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_openssl_reads_leaf_chain_and_key(host: Host, store: Path) -> None:
    """All of them, under the certificate's name; the file is closed to others."""
    issued = host.offer_new()
    done = host.agent("run", "--json")
    assert done.certificate["state"] == "unprovable", done.out
    found = opened(store, "-nodes")
    assert f"friendlyName: {NAME}" in found
    blocks = [
        block.strip() for block in (issued.cert_pem + issued.chain_pem).decode().split("-----END CERTIFICATE-----")
    ]
    assert all(block in found for block in blocks if block)
    assert found.count("BEGIN CERTIFICATE") == 2
    assert found.count("BEGIN PRIVATE KEY") == 1
    assert store.stat().st_mode & 0o777 == 0o600


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["pkcs12", "jks"])
def test_java_reads_it(host: Host, store: Path, kind: str) -> None:
    """As the type that the operator names, with the alias that he gives; the chain is whole."""
    configure(host, store, f'format = "{kind}"\nalias = "tomcat"')
    (host.folder / "password").write_text("changeit")
    host.offer_new()
    assert host.agent("run", "--json").certificate["state"] == "unprovable"
    command = [program("keytool", "default-jre-headless"), "-list", "-v", "-keystore", str(store)]
    command += ["-storetype", kind, "-storepass", "changeit"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "Alias name: tomcat\n" in listed
    assert "Entry type: PrivateKeyEntry\nCertificate chain length: 2\n" in listed


def test_what_is_inside_counts(host: Host, store: Path) -> None:
    """An agent that remembers nothing leaves a keystore alone that holds just this, and makes one anew that it cannot
    open."""
    host.offer_new()
    host.agent("run")
    was = store.read_bytes()
    for file in host.state_dir.rglob("*.json"):
        file.unlink()
    host.agent("run", "--retry")
    assert store.read_bytes() == was
    (host.folder / "password").write_text("another", encoding="utf-8")
    host.agent("run", "--retry")
    assert store.read_bytes() != was


def test_another_alias_or_password_makes_it_anew(host: Host, store: Path) -> None:
    """And the old password does not open it any more."""
    host.offer_new()
    host.agent("run")
    configure(host, store, 'alias = "other"')
    host.agent("run")
    assert "friendlyName: other" in opened(store, "-nodes")
    (host.folder / "password").write_text("new")
    host.agent("run")
    assert "friendlyName: other" in opened(store, "-nodes", password="new")
    assert reloads(host) == 3
    host.agent("run")
    assert reloads(host) == 3


def test_an_older_one_is_refused(host: Host, store: Path) -> None:
    """The certificate in place is read from the keystore."""
    host.offer_new()
    host.agent("run")
    host.sql("DELETE FROM certs")
    for file in host.state_dir.rglob("*.json"):
        file.unlink()
    older = host.sign(days=10, not_before=datetime.now(UTC) - timedelta(days=5))
    host.offer(older.cert_pem, older.chain_pem)
    done = host.agent("run", "--json")
    assert done.certificate["state"] == "refused"
    assert "it was issued earlier" in done.certificate["detail"]


def test_the_one_before_comes_back_where_it_is_not_opened(host: Host, store: Path) -> None:
    """In a folder of others the record tells what is in place, as long as the file is as it was written."""
    first = host.offer_new()
    host.agent("run")
    host.offer_new()
    host.agent("run")
    store.parent.chmod(0o777)
    done = host.agent("rollback", NAME)
    assert f"serial {serial_text(first.certificate)}" in done.out, done.out + done.err


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [(None, 0, "cannot be read"), ("", 0o600, "is empty"), ("geheim", 0o644, "its mode is 0644")],
)
def test_without_a_password_nothing_is_touched(
    host: Host, store: Path, content: str | None, mode: int, says: str
) -> None:
    """The certificate fails with the file's name, and never with the password."""
    password = host.folder / "password"
    password.unlink()
    if content is not None:
        password.write_text(content)
        password.chmod(mode)
    host.offer_new()
    checked = host.agent("check")
    assert (checked.code, f"bad  {NAME}: " in checked.out, says in checked.out) == (1, True, True), checked.out
    done = host.agent("run", "--json")
    assert (done.code, done.certificate["state"]) == (1, "failed")
    assert says in done.certificate["detail"]
    assert str(password) in done.certificate["detail"]
    assert "geheim" not in done.out + done.err
    assert not store.exists()
