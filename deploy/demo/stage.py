"""The servers of the demo: a BIND that takes the printed recipe as it is, a Pebble that asks it, an nginx to serve."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.server import DnsServer
from tests.servers.zone_folder import PACKAGE
from tests.servers.zones import Settings, Zone, named_conf, primary_statement, zone_text

DOMAIN = "demo.example"
PRIMARY = f"ns.{DOMAIN}"
STANZAS = "named.conf.certfleet"
DEBIAN_ZONES = "/var/lib/bind"


@dataclass(frozen=True, slots=True)
class Seen:
    """The records that the name server has for a sub-zone at one moment."""

    serial: int | None
    values: set[str]


class NameServer(DnsServer):
    """A BIND with a hand-written parent zone, and an empty file for what `certfleet-issuer zone` prints."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.parent_file = folder / f"{DOMAIN}.db"
        self._conf = folder / "named.conf"

    def take(self, recipes: Sequence[dict[str, Any]]) -> None:
        """Do what an administrator does with the recipes: paste, raise the parent's serial, reload.

        The only word changed is the folder for zone files, because the machine's own must not be touched.
        """
        once = dict.fromkeys(str(part["text"]) for recipe in recipes for part in recipe["once"])
        stanzas = [str(recipe["stanza"]).replace(DEBIAN_ZONES, str(self.folder)) for recipe in recipes]
        (self.folder / STANZAS).write_text("".join([*once, *stanzas]), encoding="utf-8")
        for recipe in recipes:
            (self.folder / f"db.{recipe['zone']}").write_text(str(recipe["zone_file"]), encoding="utf-8")
        self._write_parent([line for recipe in recipes for line in str(recipe["parent"]).splitlines()], serial=2)
        self._send(signal.SIGHUP)
        self._wait_for(DOMAIN, 2)
        for recipe in recipes:
            self._wait_for(str(recipe["zone"]), 1)

    def look(self, zone: str) -> Seen:
        """Serial and TXT values of a sub-zone, from the server itself."""
        return Seen(self._serial(zone), self.txt(zone))

    def _configure(self) -> None:
        self._write_parent([], serial=1)
        (self.folder / STANZAS).touch()
        root = Zone("", zone_text("", LOOPBACK, (), 1), 1)
        parent = Zone(DOMAIN, "", 1)
        (self.folder / root.file).write_text(root.text, encoding="utf-8")
        statements = [primary_statement(root), primary_statement(parent), f'include "{self.folder / STANZAS}";']
        settings = Settings(self.folder, LOOPBACK, self.port)
        self._conf.write_text(named_conf(settings, statements), encoding="utf-8")

    def _command(self) -> list[str]:
        return [program("named", PACKAGE), "-g", "-4", "-c", str(self._conf)]

    def _ready(self) -> bool:
        return super()._ready() and self._serial(DOMAIN) == 1

    def _write_parent(self, delegations: Sequence[str], serial: int) -> None:
        records = [f"@ NS {PRIMARY}.", f"{PRIMARY}. A {LOOPBACK}", f"www A {LOOPBACK}", f"shop A {LOOPBACK}"]
        text = zone_text(DOMAIN, LOOPBACK, [*records, *delegations], serial)
        self.parent_file.write_text(text, encoding="utf-8")

    def _wait_for(self, zone: str, serial: int) -> None:
        self.wait_until(lambda: self._serial(zone) == serial, f"{zone} with serial {serial} is loaded")
