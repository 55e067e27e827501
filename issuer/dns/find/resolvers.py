"""The recursive resolvers: those of ``[dns] resolvers``, else the system's. Asked in turn until one answers.

The system's file is read again whenever it has changed: a daemon may start before the network has filled it.
"""

from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.rcode
import structlog

from common.resolv_conf import SYSTEM, nameservers
from common.stamps import stamps
from issuer.dns.asking import NoAnswer, ask
from issuer.dns.servers import DNS_PORT, ROOT, Server, configured_servers, question, rcode_text, rrset_in, targets
from issuer.ground.silence import Silence

log = structlog.get_logger()
_SYSTEM = SYSTEM
_SILENT_SECONDS = 60  # a silent resolver is not asked again for so long
_USEFUL = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


class Resolvers:
    """Thread-safe. *configured*: the resolvers of the configuration, [] when it names none."""

    def __init__(self, texts: Sequence[str]):
        self.configured = configured_servers("resolvers", texts)
        self._listed: list[Server] = []
        self._read = stamps([])  # nothing yet
        self._silence: Silence[Server, NoAnswer] = Silence(_SILENT_SECONDS)

    def ask(self, name: str, kind: str) -> dns.message.Message:
        """The first NOERROR or NXDOMAIN answer. Raises NoAnswer when no resolver gives one."""
        said = []
        for server in self.configured or self._of_the_system():
            silence = self._silence.of(server)
            if silence is None:
                try:
                    answer = ask(server, question(name, kind, recursive=True))
                    if answer.rcode() in _USEFUL:
                        return answer
                    said.append(f"{server}: {rcode_text(answer)}")
                    continue
                except NoAnswer as error:
                    silence = error
                    if not _knows_the_root(server):  # else the name alone is at fault
                        self._silence.begins(server, error)
                        log.warning("resolver.silent", resolver=str(server), name=name, kind=kind, error=str(error))
            said.append(f"{server}: {silence}")
        raise NoAnswer("; ".join(said) or "no resolver is configured")

    @property
    def every(self) -> list[Server]:
        """The resolvers of the configuration, then those of the system, each once."""
        return list(dict.fromkeys([*self.configured, *self._of_the_system()]))

    def _of_the_system(self) -> list[Server]:
        found = stamps([_SYSTEM])
        if found != self._read:
            self._listed, self._read = _listed_in(_SYSTEM), found
        return self._listed

    def addresses(self, name: str, *, every: bool = False) -> list[str]:
        """The A and AAAA addresses of *name*, aliases followed; [] when it has none. Where one type cannot be looked up
        those of the other are enough, as for a CA, unless *every* address is wanted. Raises NoAnswer."""
        found: list[str] = []
        failed = []
        for kind in ("A", "AAAA"):
            try:
                found += targets(rrset_in(self.ask(name, kind).answer, kind))
            except NoAnswer as error:
                failed.append(f"its {kind} record cannot be looked up ({error})")
        if failed and (every or not found):
            raise NoAnswer("; ".join(failed))
        return found


def _knows_the_root(server: Server) -> bool:
    """Does it answer at all? Each resolver has that answer at hand, unless it has no way to the Internet."""
    try:
        return ask(server, question(ROOT, "NS", recursive=True)).rcode() in _USEFUL
    except NoAnswer:
        return False


def _listed_in(file: Path) -> list[Server]:
    return [Server(address, DNS_PORT) for address in nameservers(file)]
