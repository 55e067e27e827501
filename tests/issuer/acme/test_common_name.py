"""The CSR that the manual of the classic system teaches: one name as the common name, the other as the only alternative
name. It is adopted, ordered, stored and installed at a CA with Let's Encrypt's rule; one with Pebble's rule is told
apart."""

import subprocess
from pathlib import Path

import pytest

from common.certificate import certified_names, parse_bundle
from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.store import legacy_table
from tests.servers.authority import Authority
from tests.servers.boulder_names import BoulderNames
from tests.servers.ca_proxy import CaProxy
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.process import program

NAME, OTHER = "foo.lab.test", "bar.other.test"
SAN_CNF = f"""
[req]
distinguished_name = dn
req_extensions = v3
prompt = no
[dn]
O = Example Ltd
CN = {NAME.capitalize()}
[v3]
subjectAltName = @alt_names
[alt_names]
DNS.1 = {OTHER}
"""


def by_openssl(key: Path, folder: Path) -> bytes:
    """``openssl req -config san.cnf``."""
    config = folder / "san.cnf"
    config.write_text(SAN_CNF, encoding="ascii")
    command = [program("openssl", "openssl"), "req", "-new", "-config", str(config), "-key", str(key)]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout


@pytest.mark.soak
def test_an_adopted_row_with_a_common_name_of_its_own(lab: Lab, proxy: CaProxy, tmp_path: Path) -> None:
    """From `db upgrade` to the file on the host, with both names."""
    root = Authority("Boulder Root")
    BoulderNames(proxy, root.intermediate("Boulder CA"))
    host = Host(tmp_path / "host", NAME)
    host.make_key()
    database = SqliteDatabase(tmp_path)
    database.execute(legacy_table.ddl("sqlite"))
    request = by_openssl(host.key, tmp_path)
    columns = "name, enable, certbot, csr, ts_expire, ts_last_update"
    database.execute(f"INSERT INTO certs ({columns}) VALUES ('{NAME}', 'Y', 'N', X'{request.hex()}', 1, 1)")  # noqa: S608
    box = Box(tmp_path / "box", database, bind=lab.bind, pebble=lab.pebble)
    box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    box.set_up()
    box.add_zone(NAME, OTHER)
    lab.bind.reconfigure()
    box.ok("run")
    crt, ca = box.row(NAME, "crt", "ca")
    assert certified_names(parse_bundle(crt).leaf) == {NAME, OTHER}
    host.roots.write_bytes(root.pem)
    host.configure(files=f'names = ["{NAME}", "{OTHER}"]\n[certificate.files]\nfullchain = "{host.fullchain}"')
    host.offer(crt, ca)
    done = host.run()
    assert done.code == 0, done.out + done.err
    assert host.fullchain.read_bytes() == crt + ca
    box.ok("reissue", NAME)


@pytest.mark.soak
def test_a_ca_that_looks_at_the_alternative_names_alone(box: Box, tmp_path: Path) -> None:
    """Pebble itself refuses; what to do is in the hint, and nothing of the account."""
    key = tmp_path / "key.pem"
    subprocess.run([program("openssl", "openssl"), "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    box.add_zone(NAME, OTHER)
    assert box.bind is not None
    box.bind.reconfigure()
    box.ok("populate", NAME, "--csr", "-", stdin=by_openssl(key, tmp_path))
    box.ok("enable", NAME)
    outcome = box.fails("run", says=[f"{NAME}: failed", "a CSR with all names among its alternative names"])
    assert "our account" not in outcome.out + outcome.err
