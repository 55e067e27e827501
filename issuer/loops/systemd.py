"""Messages of a service to systemd: ready, reloading, alive, stopping (sd_notify(3)).

The protocol is one datagram to the socket in NOTIFY_SOCKET, so no library is needed.
"""

import os
import socket
import time
from collections.abc import Mapping

import structlog

from common.text import one_line

log = structlog.get_logger()
_SHORTEST_PING = 0.05  # seconds


class Systemd:
    """*environment* is the process's. Without NOTIFY_SOCKET every method does nothing."""

    def __init__(self, environment: Mapping[str, str]):
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address  # @: the abstract namespace
        self._status = ""
        self.ping_seconds = _ping_seconds(environment) if address else None

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        """Followed by :meth:`ready` at its end. Type=notify-reload wants the moment as well."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, sent when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={one_line(text)}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as plain:
                plain.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:  # systemd notices the silence; no certificate depends on it
            log.debug("systemd.unheard", message=lines[0], error=str(error))


def _ping_seconds(environment: Mapping[str, str]) -> float | None:
    """Half of the watchdog's interval (sd_watchdog_enabled(3)); None without one for this process."""
    try:
        interval = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
        meant_for = int(environment.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return max(interval / 2, _SHORTEST_PING) if interval > 0 and meant_for == os.getpid() else None
