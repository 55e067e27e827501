"""The servers of the demo: a BIND that takes the printed recipe as it is, a Pebble that asks it, an nginx to serve."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.servers import questions
from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program
from tests.servers.zone_folder import PACKAGE
from tests.servers.zones import LOOPBACK, Settings, Zone, named_conf, primary_statement, zone_text

DOMAIN = "demo.example"
PRIMARY = f"ns.{DOMAIN}"
STANZAS = "named.conf.certfleet"
DEBIAN_ZONES = "/var/lib/bind"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the name server has for a sub-zone at one moment."""

    serial: int | None
    values: set[str]


class NameServer:
    """A BIND with a hand-written parent zone, and an empty file for what `certfleet-issuer zone` prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.parent_file = folder / f"{DOMAIN}.db"
        self._process = Process(
            [program("named", PACKAGE), "-g", "-4", "-c", str(folder / "named.conf")], folder / "log"
        )
        folder.mkdir()

    def __enter__(self) -> Self:
        self._write_parent([], serial=1)
        (self.folder / STANZAS).touch()
        root = Zone("", zone_text("", LOOPBACK, (), 1), 1)
        parent = Zone(DOMAIN, "", 1)
        (self.folder / root.file).write_text(root.text, encoding="utf-8")
        statements = [primary_statement(root), primary_statement(parent), f'include "{self.folder / STANZAS}";']
        settings = Settings(self.folder, LOOPBACK, self.port)
        (self.folder / "named.conf").write_text(named_conf(settings, statements), encoding="utf-8")
        self._process.start()
        self._wait_for(DOMAIN, 1)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.stop()
        release_port(self.port)

    @property
    def endpoint(self) -> str:
        return f"{LOOPBACK}:{self.port}"

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
        self._process.send(signal.SIGHUP)
        self._wait_for(DOMAIN, 2)
        for recipe in recipes:
            self._wait_for(str(recipe["zone"]), 1)

    def look(self, zone: str) -> Seen:
        """Serial and TXT values of a sub-zone, from the server itself."""
        return Seen(questions.soa_serial(LOOPBACK, self.port, zone), questions.txt_values(LOOPBACK, self.port, zone))

    def _write_parent(self, delegations: Sequence[str], serial: int) -> None:
        records = [f"@ NS {PRIMARY}.", f"{PRIMARY}. A {LOOPBACK}", f"www A {LOOPBACK}", f"shop A {LOOPBACK}"]
        text = zone_text(DOMAIN, LOOPBACK, [*records, *delegations], serial)
        self.parent_file.write_text(text, encoding="utf-8")

    def _wait_for(self, zone: str, serial: int) -> None:
        self._process.wait_until(
            lambda: questions.soa_serial(LOOPBACK, self.port, zone) == serial, f"{zone} with serial {serial} is loaded"
        )
