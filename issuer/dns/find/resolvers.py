"""The recursive resolvers: those of ``[dns] resolvers``, else the system's. Asked in turn until one answers."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.rcode
import structlog

from issuer.dns.asking import NoAnswer, ask
from issuer.dns.servers import DNS_PORT, Server, configured_servers, question, rcode_text

log = structlog.get_logger()
_SYSTEM = Path("/etc/resolv.conf")
_SILENT_SECONDS = 60  # a network without resolvers is asked again after this long
_USEFUL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


class Resolvers:
    """Thread-safe. *configured* are those of the configuration, [] when it names none."""

    def __init__(self, texts: Sequence[str], *, system: Path = _SYSTEM):
        self.configured = configured_servers("resolvers", texts)
        self._servers = self.configured or _listed_in(system)
        self._silent_until = 0.0
        self._lock = threading.Lock()

    def ask(self, name: str, kind: str) -> dns.message.Message:
        """The first answer that says something: records, or that there are none. Raises NoAnswer when nobody does."""
        with self._lock:
            if time.monotonic() < self._silent_until:
                raise NoAnswer("no resolver has answered lately")
        said = []
        answered = False
        for server in self._servers:
            try:
                answer = ask(server, question(name, kind, recursive=True))
            except NoAnswer as error:
                said.append(f"{server}: {error}")
                continue
            if answer.rcode() in _USEFUL:
                return answer
            answered = True
            said.append(f"{server}: {rcode_text(answer)}")
        if not answered:
            with self._lock:
                self._silent_until = time.monotonic() + _SILENT_SECONDS
            log.warning("resolver.silent", name=name, kind=kind, said=said)
        raise NoAnswer("; ".join(said) or "no resolver is configured")


def _listed_in(file: Path) -> list[Server]:
    """The nameserver lines of a resolv.conf; without any it is this machine itself, as resolv.conf(5) says."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    addresses = [entry[1] for entry in words if len(entry) > 1 and entry[0] == "nameserver" and "%" not in entry[1]]
    return [Server(address, DNS_PORT) for address in addresses or ["127.0.0.1"]]
