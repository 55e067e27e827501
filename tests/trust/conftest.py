"""The central box and the host that thieves are after, and what each thief builds for himself."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from common.certificate import spki_sha256
from tests.agent.accounts import Agents
from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.notify.conftest import told_by_mail
from tests.issuer.signing_requests import csr, private_key
from tests.servers.authority import Authority
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.smtp import Smtp
from tests.servers.sql_server import SqlServer
from tests.trust.siege import NAME, OTHER, Siege

__all__ = ["HIS", "NAME", "OTHER", "STOLEN", "gets", "is_his", "signed_for_him"]
HIS = "thief.example.test"  # nobody enrolled it, although our key could answer for it
STOLEN = 7  # the number of the thief's own key


@pytest.fixture
def box(lab: Lab, tmp_path: Path) -> Box:
    """The central box. Each zone has a key of its own."""
    made = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=lab.bind, pebble=lab.pebble)
    made.document["dns"]["zone"] = [
        {"name": f"_acme-challenge.{OTHER}", "tsig_key_file": str(lab.bind.tsig_key("other"))}
    ]
    made.write()
    made.set_up()
    made.add_zone(OTHER, key="other")
    made.enrol(NAME)
    made.populate(OTHER)
    made.ok("run")
    return made


@pytest.fixture
def den(box: Box, lab: Lab, tmp_path: Path) -> Callable[..., Box]:
    """What a thief builds: an issuer of his own, with the files that he stole."""

    def build(*, tsig: Path | None = None, account: Path | None = None) -> Box:
        made = Box(tmp_path / "den", SqliteDatabase(tmp_path / "loot"), pebble=lab.pebble)
        dns = {"server": lab.bind.address, "port": lab.bind.port, "nameservers": [lab.bind.endpoint]}
        made.write(dns={**dns, "tsig_key_file": str(tsig or _key_of_his_own(tmp_path))})
        if account is not None:
            made.document["acme"]["account_key"] = str(account)
            made.write()
        (tmp_path / "loot").mkdir()
        made.set_up()
        return made

    return build


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a key of its own and a placeholder certificate."""
    made = Host(tmp_path / "host")
    made.make_key()
    made.put_placeholder()
    return made


@pytest.fixture
def agents(sql_server: SqlServer, tmp_path: Path) -> Agents:
    """A database on a real server, on which agents can have accounts."""
    return Agents(sql_server.create_database(), tmp_path)


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    with Smtp(tmp_path) as server:
        yield server


@pytest.fixture
def siege(lab: Lab, sql_server: SqlServer, smtp: Smtp, tmp_path: Path) -> Iterator[Siege]:
    box = Box(tmp_path / "box", sql_server.create_database(), bind=lab.bind, pebble=lab.pebble)
    told_by_mail(box, smtp)
    box.set_up()
    box.add_zone(NAME, OTHER, HIS)
    lab.bind.reconfigure()
    for name in (NAME, OTHER):
        box.populate(name)
    box.ok("run")
    yield Siege(box, smtp, tmp_path / "html")


def gets(den: Box, name: str, *ways: str) -> bool:
    """Does the thief's own issuer get a certificate for his own key? *ways*: options of `populate`."""
    den.ok("populate", name, "--csr", "-", "--enable", *ways, stdin=csr([name], number=STOLEN))
    den.run("run", name)
    [crt] = den.row(name, "crt")
    return bool(crt) and is_his(bytes(crt))


def is_his(pem: bytes) -> bool:
    """Is this certificate for the thief's key?"""
    key = x509.load_pem_x509_certificate(pem).public_key()
    return spki_sha256(key) == spki_sha256(private_key(number=STOLEN).public_key())


def signed_for_him(name: str) -> bytes:
    """A certificate with its chain for the thief's own key, as a CA makes it that is in league with him."""
    return Authority("Root").intermediate("Intermediate").sign(csr([name], number=STOLEN)).fullchain_pem


def _key_of_his_own(folder: Path) -> Path:
    file = folder / "guess.key"
    file.touch(mode=0o600)
    file.write_text('key "acme" { algorithm hmac-sha256; secret "Z3Vlc3NlZCBieSBhIHRoaWVmIHdobyBoYXMgbm9uZQ=="; };\n')
    return file
