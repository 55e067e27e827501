"""The folder one named works in: its named.conf, its keys, and the zones it is the primary of."""

import base64
import functools
import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers import zones
from tests.servers.process import program
from tests.servers.zones import Settings, Zone, normal

PACKAGE = "bind9"
KEYGEN_SECONDS = 10


@functools.cache
def _key_of_another(algorithm: str) -> str:
    """What tsig-keygen writes for a key named "another"."""
    command = [program("tsig-keygen", PACKAGE), "-a", algorithm, "another"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=KEYGEN_SECONDS).stdout


def _another_secret(found: re.Match[str]) -> str:
    octets = os.urandom(len(base64.b64decode(found[1])))
    return f'secret "{base64.b64encode(octets).decode()}"'


class ZoneFolder:
    """Collects what is described, and writes all of it at once.

    Every write is a new generation, and the serial of the root zone is its number: by that one sees from outside
    which configuration a server has taken.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.conf = folder / "named.conf"
        self.zones: dict[str, Zone] = {}
        self.keys: dict[str, Path] = {}
        self.generation = 0
        self._address = address
        self._written: dict[str, Zone] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add_key(self, name: str, algorithm: str) -> Path:
        """A new key as tsig-keygen writes it, in a file of mode 0600."""
        text = re.sub('secret "(.+)"', _another_secret, _key_of_another(algorithm))
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_text(text.replace('"another"', f'"{name}"'), encoding="ascii")
        self.keys[name] = path
        return path

    def describe_static(self, name: str, records: Sequence[str]) -> None:
        """A zone as it stands in its file; a later description replaces it."""
        name, serial = normal(name), self.generation + 1
        self.zones[name] = Zone(name, zones.zone_text(name, self._address, records, serial), serial)

    def describe_dynamic(self, name: str, key_name: str, policy: Sequence[str] | None, records: Sequence[str]) -> None:
        """A zone that takes updates; a later description replaces who may write, not what it holds."""
        name = normal(name)
        if key_name not in self.keys:
            raise ValueError(f"make the key {key_name!r} with tsig_key first")
        granted = zones.grants(key_name, zones.default_policy(name) if policy is None else policy)
        self.zones[name] = Zone(name, zones.zone_text(name, self._address, records, serial=1), 1, granted)

    def write(self, settings: Settings, secondary_statements: Sequence[str]) -> None:
        """Write named.conf and the zone files that are new or changed."""
        self.generation += 1
        root = Zone("", zones.zone_text("", self._address, (), self.generation), self.generation)
        own = [root, *self.zones.values()]
        for zone in own:
            self._write_zone(zone)
        statements = [*map(zones.primary_statement, own), *secondary_statements]
        self.conf.write_text(zones.named_conf(settings, statements), encoding="utf-8")

    def _write_zone(self, zone: Zone) -> None:
        written = self._written.get(zone.name)
        if written == zone or (written and written.dynamic and zone.dynamic):
            return
        path = self.folder / zone.file
        path.write_text(zone.text, encoding="utf-8")
        # named reloads a file only if it is newer than the last load, and the kernel's own stamp is milliseconds old.
        now = time.time_ns()
        os.utime(path, ns=(now, now))
        self._written[zone.name] = zone
