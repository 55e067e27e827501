"""The state of a certificate whose files are in place, by what its sockets show, and what people can do. Pure."""

from collections.abc import Sequence

from agent.model.certificate import Certificate, Service, to_read, why_in_logs
from agent.model.result import Outcome
from agent.rules.evidence import Evidence, Proof, Sight, sights_of

REACHABLE = (
    "name a socket that this host can reach in `probe`; ?connect=ADDRESS looks elsewhere under the same name; where "
    "one answers, see that the service's configuration names {files}"
)
_ELSEWHERE = (
    "see that the service's configuration names {files}; where a reload does not reach that socket, say "
    "activate = \"restart\"; if that address is another host's, name this host's own: ?connect=127.0.0.1; let a "
    "container mount the folder: a file mounted alone stays the old one, as a hard link does{to_read}"
)
_WHOLE = "let the service read the file with the full chain, or the chain's own: without it clients refuse the leaf"
OTHER_SOCKET = (
    "say in `probe` if it listens elsewhere (?connect=127.0.0.1), wants a balancer's header (?proxy=v2), or has no TLS "
    "([]){to_read}"
)
_AT_WORK = (
    "start or reload {service}, whose configuration must name {files} for that socket; the next run looks again; "
    + OTHER_SOCKET
)
_CONCLUSIONS = {
    Proof.PROVEN: (Outcome.INSTALLED, ""),
    Proof.INCOMPLETE: (Outcome.INCOMPLETE, _WHOLE),
    Proof.PENDING: (Outcome.PENDING, 'restart the service by hand: agent.toml says "ask"'),
    Proof.NOTHING_TO_ASK: (Outcome.UNPROVABLE, ""),
    Proof.WRONG: (Outcome.UNPROVEN, _ELSEWHERE),
    Proof.DOWN: (Outcome.UNPROVEN, _AT_WORK),
    Proof.UNKNOWN: (Outcome.UNPROVEN, REACHABLE),
}


def conclusion(evidence: Evidence, certificate: Certificate) -> tuple[Outcome, str, str]:
    """Outcome, detail and hint of a certificate whose files are in place; the texts are empty where all is proven."""
    outcome, hint = _CONCLUSIONS[evidence.proof]
    place = "the files are in place, but" if outcome is Outcome.INCOMPLETE else "the files are in place, not proven:"
    services = _of(certificate, (*evidence.others, *evidence.lost, *evidence.silent))
    label = services[0].label if len(services) == 1 else "the service"
    hint = hint.format(files=certificate.paths, service=label, to_read=to_read(services))
    why = why_in_logs(services) if evidence.proof is Proof.DOWN else ""  # it may have ended after an install
    return outcome, f"{place} {evidence.detail}" if evidence.detail else "", "; ".join(filter(None, [hint, why]))


def _of(certificate: Certificate, sights: Sequence[Sight]) -> Sequence[Service]:
    """The services whose sockets *sights* are; all of the certificate where that is not known."""
    return [one for one in certificate.services if sights_of(one, certificate, sights)] or certificate.services


def why_here(certificate: Certificate, sights: Sequence[Sight]) -> str:
    """A hint that names the logs of the services whose sockets *sights* are; "" where there is none."""
    return why_in_logs(_of(certificate, sights))
