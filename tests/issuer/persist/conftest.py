"""A box whose CA validates by dns-persist-01, and whose name server has only a hand-written zone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy
from tests.servers.database import Database, SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.persist_ca import PersistCa
from tests.servers.ports import LOOPBACK, free_port, release_port

NAME = "shop.example.test"


@dataclass
class Shop:
    """The box, its CA, and the name server with example.test."""

    box: Box
    ca: PersistCa
    bind: Bind

    def publish(self, *texts: str, name: str = NAME) -> None:
        """The TXT records at the name of the record for *name*, and no others, in a hand-written zone."""
        owner = f"_validation-persist.{name.removesuffix('.example.test')}"
        self.zone(*(f'{owner} TXT "{text}"' for text in texts))

    def zone(self, *lines: str) -> None:
        self.bind.static_zone("example.test", ["@ A 127.0.0.1", *lines])
        self.bind.reconfigure()

    def told(self, *names: str) -> list[dict[str, str]]:
        """What `zone --persist` tells programs."""
        records: list[dict[str, str]] = self.box.ok("zone", "--persist", *(names or (NAME,)), "--json").report()
        return records

    def value(self, *names: str) -> str:
        """The record that `zone --persist` prints for the first name."""
        return self.told(*names)[0]["value"]

    def populate(self, *names: str, by: str = "dns-persist-01") -> None:
        names = names or (NAME,)
        said = self.box.ok("populate", names[0], "--csr", "-", "--by", by, stdin=csr(names)).out
        assert "its record is in DNS" in said
        self.box.ok("enable", names[0])


@pytest.fixture(scope="session")
def trusting_pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A Pebble that takes every validation for good: PersistCa judges before it hears of one."""
    port = free_port()
    folder = tmp_path_factory.mktemp("trusting")
    with Pebble(folder, f"{LOOPBACK}:{port}", extra_env={"PEBBLE_VA_ALWAYS_VALID": "1"}) as server:
        yield server
    release_port(port)


def opened(database: Database, lab: Lab, proxy: CaProxy, folder: Path) -> Shop:
    box = Box(folder, database, bind=lab.bind)
    del box.document["dns"]["server"], box.document["dns"]["port"], box.document["dns"]["tsig_key_file"]
    box.write(acme={"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)})
    box.set_up()
    made = Shop(box, PersistCa(proxy, lab.bind), lab.bind)
    made.zone()
    return made


@pytest.fixture
def persist_lab(tmp_path: Path, trusting_pebble: Pebble) -> Iterator[Lab]:
    with Lab(tmp_path, shared=trusting_pebble) as servers:
        yield servers


@pytest.fixture
def persist_proxy(tmp_path: Path, persist_lab: Lab) -> Iterator[CaProxy]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    with CaProxy(folder, persist_lab.pebble) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, persist_lab: Lab, persist_proxy: CaProxy) -> Shop:
    """Over SQLite; without a name server that we can write."""
    return opened(SqliteDatabase(tmp_path), persist_lab, persist_proxy, tmp_path / "box")


@pytest.fixture
def shop_on_either(tmp_path: Path, database: Database, persist_lab: Lab, persist_proxy: CaProxy) -> Shop:
    """The same over every database."""
    return opened(database, persist_lab, persist_proxy, tmp_path / "box")
