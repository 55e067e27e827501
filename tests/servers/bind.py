"""BIND on loopback: hand-written zones, zones that take signed updates, and secondaries that may lag.

A root zone is always there, so that the server answers for every name with authority instead of refusing.
"""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers import questions
from tests.servers.notify import NotifyRelay
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.server import DnsServer
from tests.servers.zone_folder import PACKAGE, ZoneFolder
from tests.servers.zones import Settings, secondary_statement

RNDC_SECONDS = 10


class Bind(DnsServer):
    """One named. Zones may be described before `start`, or later, followed by `reconfigure`.

    With `secondary_of` it copies every zone of that server. With `lag_seconds` it learns of each change that much
    later; with `math.inf` only when told by `refresh`. (A secondary always catches up when it is started.)

    With `query_log` its log has a line for each question.

    `notify_delay` is BIND's own pause between two messages about one zone: 5 seconds as shipped, none here.

    An `address` other than 127.0.0.1 must be one that an interface really has: named does not bind the others. With
    `address6` it answers there too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        address: str = LOOPBACK,
        address6: str = "",
        port: int | None = None,
        secondary_of: "Bind | None" = None,
        lag_seconds: float = 0.0,
        notify_delay: int = 0,
        query_log: bool = False,
    ) -> None:
        super().__init__(folder, address=address, port=port)
        self.address6 = address6
        self.primary = secondary_of
        self.lag_seconds = lag_seconds
        self._notify_delay = notify_delay
        self._query_log = query_log
        self._contents = ZoneFolder(folder, address)
        self._secondaries: list[Bind] = []
        self._relay: NotifyRelay | None = None
        self._rndc_port = 0
        if secondary_of is not None:
            secondary_of._secondaries.append(self)
            if lag_seconds:
                self._relay = NotifyRelay(self._own_port(), (address, self.port), lag_seconds)

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.alive()

    def tsig_key(self, name: str, algorithm: str = "hmac-sha256") -> Path:
        """A new key as tsig-keygen writes it, in a file of mode 0600."""
        return self._contents.add_key(name, algorithm)

    def static_zone(self, name: str, records: Sequence[str] = ()) -> None:
        """A hand-written zone: lines of a zone file without SOA, and without NS if any will do. May be called again."""
        self._contents.describe_static(name, records)

    def dynamic_zone(
        self, name: str, key_name: str, policy: Sequence[str] | None = None, *, records: Sequence[str] = ()
    ) -> None:
        """A zone in which this key may change the TXT records of the names in `policy`, and nothing else.

        By default that is the zone's `_acme-challenge` name, or the zone's own when that is what it is for.
        """
        self._contents.describe_dynamic(name, key_name, policy, records)

    def start(self) -> None:
        """Write the configuration, start, and return once every zone answers."""
        if self.primary is not None and self.primary.running:
            self.primary.reconfigure()  # it has to know whom to notify
        super().start()
        self._wait_for_zones()

    def restart(self) -> None:
        """Stop and start: nothing is lost, journals are read again."""
        self.stop()
        self.start()

    def reconfigure(self) -> None:
        """Let a running server, and its running secondaries, take what has been described since the start."""
        self._configure()
        if self._process is not None:
            self._send(signal.SIGHUP)
            self._wait_ready("named has taken its configuration")
            self._wait_for_zones()
        for secondary in self._secondaries:
            if secondary.running:
                secondary.reconfigure()

    def rndc(self, *words: str) -> None:
        """One command of rndc, signed with the first key; the first one opens the control channel."""
        if not self._rndc_port:
            self._rndc_port = self._own_port()
            self.reconfigure()
        key = next(iter(self._contents.keys.values()))
        command = [program("rndc", PACKAGE), "-s", LOOPBACK, "-p", str(self._rndc_port), "-k", str(key), *words]
        subprocess.run(command, check=True, capture_output=True, timeout=RNDC_SECONDS)

    def close(self) -> None:
        """Stop for good and give the ports back."""
        if self.primary is not None and self in self.primary._secondaries:
            self.primary._secondaries.remove(self)
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        super().close()

    def serial(self, zone: str) -> int:
        """The zone's serial number on this server."""
        serial = self._serial(zone)
        if serial is None:
            raise RuntimeError(f"{self.endpoint} does not answer for the zone {zone}")
        return serial

    def refresh(self) -> None:
        """Tell a secondary now that its zones may have changed, and wait until it has what its primary has."""
        if self.primary is None or self._process is None:
            raise ValueError("only a running secondary can be refreshed")
        waiting = list(self.primary._contents.zones)

        def level() -> bool:
            for name in waiting:  # again and again: what changes after a transfer is told by nobody else
                questions.send_notify(self.address, self.port, name)
            waiting[:] = [name for name in waiting if not self._has(name, level=True)]
            return not waiting

        self.wait_until(level, f"{self.endpoint} has what its primary has")

    def _settings(self) -> Settings:
        # A secondary that lags is told through its relay.
        notify = tuple(
            (LOOPBACK, secondary._relay.port) if secondary._relay else (secondary.address, secondary.port)
            for secondary in self._secondaries
        )
        keys = tuple(self._contents.keys.values())
        told = (notify, self._notify_delay, keys, self.address6, self._rndc_port, self._query_log)
        return Settings(self.folder, self.address, self.port, *told)

    def _configure(self) -> None:
        copied = []
        if self.primary is not None:
            source = self.primary._settings()
            copied = [secondary_statement(zone, source) for zone in self.primary._contents.zones.values()]
        self._contents.write(self._settings(), copied)

    def _command(self) -> list[str]:
        family = [] if self.address6 else ["-4"]
        return [program("named", PACKAGE), "-g", "-n", "1", *family, "-c", str(self._contents.conf)]

    def _ready(self) -> bool:
        """Whether it has taken its configuration; each zone is asked for afterwards."""
        return super()._ready() and self._serial("") == self._contents.generation

    def _wait_for_zones(self) -> None:
        if self.primary is None:
            self._wait_for(list(self._contents.zones), level=False)
        elif self.primary.running:
            self._wait_for(list(self.primary._contents.zones), level=not self.lag_seconds)

    def _wait_for(self, waiting: list[str], *, level: bool) -> None:
        """Wait until each zone answers; with `level`, as new as on the primary."""

        def all_there() -> bool:
            while waiting and self._has(waiting[-1], level=level):
                waiting.pop()
            return not waiting

        self.wait_until(all_there, f"the zones on {self.endpoint} are loaded")

    def _has(self, name: str, *, level: bool) -> bool:
        serial = self._serial(name)
        if level and self.primary is not None:
            return serial is not None and serial == self.primary._serial(name)
        zone = self._contents.zones.get(name)
        return serial is not None and (zone is None or zone.dynamic or serial == zone.serial)
