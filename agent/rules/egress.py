"""The places to which an agent connects. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from agent.model.certificate import Certificate
from common.egress.needs import Need, both
from common.probe.target import ProbeTarget

_DNS = 53


def of_agent(certificates: Iterable[Certificate], resolvers: Sequence[str]) -> Iterator[Need]:
    """The needs of the agent itself but for its source: resolvers, and the hosts that it works on over SSH."""
    for address in resolvers:
        yield from both(address, _DNS, "resolver")
    for certificate in certificates:
        if certificate.host is not None:
            yield Need(certificate.host.address.host, certificate.host.address.port, "tcp", "host without an agent")


def of_probes(targets: Iterable[ProbeTarget]) -> list[Need]:
    """The needs of the proof, where a socket is on another machine. RADIUS answers a login alone: it has none."""
    asked = [target for target in targets if target.login is None]
    return [Need(target.connect_host, target.connect_port, "tcp", f"proof of {target.scheme}") for target in asked]
