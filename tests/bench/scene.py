"""The stage every contender stands on: a parent zone, its dynamic sub-zones in one BIND, and two Pebbles beside it."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.bench import room
from tests.bench.delay import DelayedRelay
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.pebble import Pebble

PARENT = "bench.test"
KEY_NAME = "acme"
DELAY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class World:
    """What a contender is told: where the CA is, where updates go, with which key, and whom to trust."""

    directory: str
    server: str
    port: int
    key_file: Path
    secret: str
    bundle: Path

    def environment(self) -> dict[str, str]:
        """The process environment: one trust file for all, under each of its names, and no proxy."""
        unwanted = ("proxy", "_PROXY", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", room.INSIDE)
        kept = {name: value for name, value in os.environ.items() if not name.endswith(unwanted)}
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "LEGO_CA_CERTIFICATES")
        return kept | dict.fromkeys(names, str(self.bundle))


class Scene:
    """BIND on port 53, a fast Pebble, one as shipped, and the fast one once more with every answer late.

    Authorizations are never reused on purpose, so that every certificate is validated.
    """

    def __init__(self, folder: Path, zones: int) -> None:
        self.folder = folder
        self.bind = Bind(folder / "bind", port=53)
        self.key_file = self.bind.tsig_key(KEY_NAME, "hmac-sha512")
        dns = self.bind.endpoint
        self.fast = Pebble(folder / "fast", dns)
        self.shipped = Pebble(folder / "shipped", dns, nosleep=None, nonce_reject=None)
        self.relay = DelayedRelay(("127.0.0.1", self.fast.port), DELAY)
        self.names = [f"svc{number:03d}.{PARENT}" for number in range(zones)]
        self._bundle = folder / "bundle.pem"
        self._running = ExitStack()

    def __enter__(self) -> Self:
        host = f"ns.{PARENT}."
        delegations = [f"{name}. NS {host}" for name in self.names]
        self.bind.static_zone(PARENT, [f"@ NS {host}", f"{host} A {self.bind.address}", *delegations])
        for name in self.names:
            self.bind.dynamic_zone(name, KEY_NAME, records=[f"@ NS {host}"])
        trust = b"".join(pebble.ca_file.read_bytes() for pebble in (self.fast, self.shipped))
        self._bundle = room.furnish(self.folder, trust)
        with ExitStack() as starting:
            for server in (self.bind, self.fast, self.shipped, self.relay):
                starting.enter_context(server)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.close()

    def world(self, pebble: Pebble, *, port: int = 0) -> World:
        """The world with that CA; through another *port* if one is given."""
        directory = f"https://localhost:{port or pebble.port}/dir"
        secret = self.key_file.read_text(encoding="ascii").split('secret "')[1].split('"')[0]
        return World(directory, self.bind.address, self.bind.port, self.key_file, secret, self._bundle)

    def requests(self) -> int:
        """How many requests the fast Pebble has answered so far."""
        log = (self.folder / "fast" / "pebble.log").read_text(encoding="utf-8", errors="replace")
        return log.count(" -> calling handler()")


def spare_authority() -> Authority:
    """An authority for certificates that no CA has to be asked for."""
    return Authority("Bench Root").intermediate("Bench Intermediate")
