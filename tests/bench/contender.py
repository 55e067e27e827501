"""What every program in the race can be asked, and certfleet's own entry."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.bench.measure import Command
from tests.bench.scene import World
from tests.issuer.box import ROOT, Box
from tests.issuer.signing_requests import csr
from tests.servers.database import Database, SqliteDatabase

ISSUER = "import sys; from issuer.__main__ import main; main()"


class Contender(Protocol):
    """One program with a state folder of its own. Making it sets it up, account and all, outside the measured time."""

    @property
    def environment(self) -> Mapping[str, str]:
        """For its processes."""

    def issue(self, names: Sequence[str]) -> list[Command]:
        """What its users run to get one certificate for each name, one command after another."""

    def held(self) -> int:
        """How many certificates it has in its hands."""

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        """What its users run daily, when it holds *names*."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender before it has a folder. *missing* says why it cannot run, or nothing."""

    name: str
    settings: str
    make: Callable[[Path, World, Sequence[str]], Contender]
    missing: str = ""


class Certfleet:
    """`certfleet-issuer run`, with every check and the database; enrolled beforehand, as hosts do it."""

    def __init__(
        self, folder: Path, world: World, names: Sequence[str], database: Database | None = None, **acme: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = database or SqliteDatabase(folder)
        self.environment = world.environment() | {"PYTHONPATH": str(ROOT)}
        self._box = Box(folder, self.database)
        self._box.write(
            acme={"directory": world.directory, "ca_bundle": str(world.bundle), **acme},
            dns={
                "server": world.server,
                "port": world.port,
                "tsig_key_file": str(world.key_file),
                "resolvers": [],  # the room's own, as of every peer
            },
            renewal={"retry": ["1s"], "max_run": "10m"},
        )
        self._box.set_up()
        for number, name in enumerate(names):
            self._box.ok("populate", name, "--csr", "-", stdin=csr([name], number=number))
        if names:
            self._box.ok("enable", *names)

    @property
    def config(self) -> Path:
        """Its issuer.toml."""
        return self._box.config

    def run_here(self, *words: str) -> None:
        """The daily run, or another command, inside this process, for whoever wants to look into it."""
        self._box.ok(*(words or ("run",)))

    def issue(self, names: Sequence[str]) -> list[Command]:
        return [issuer_command(self.config, "run")]

    def held(self) -> int:
        [(count,)] = self.database.query("SELECT COUNT(*) FROM certs WHERE crt IS NOT NULL")
        return int(count)

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        return self.issue(names)


def issuer_command(config: Path, *words: str) -> Command:
    """certfleet-issuer as a process of its own, from this source tree."""
    return [sys.executable, "-c", ISSUER, "--config", str(config), *words]


def on_path(program: str, package: str) -> str:
    """Why a peer cannot run: nothing when its program is there."""
    places = os.environ.get("PATH", os.defpath).split(":")
    found = any(os.access(Path(place) / program, os.X_OK) for place in places)
    return "" if found else f"not installed (Debian: {package})"
