"""Looking at a service's sockets until they prove something, and for a moment longer."""

from collections.abc import Callable

from agent.journey.ports import Turn
from agent.rules.evidence import Evidence, Proof, Sight

Judge = Callable[[tuple[Sight, ...]], Evidence]


def look(turn: Turn) -> tuple[Sight, ...]:
    """One look at every socket of the certificate; never raises."""
    if not turn.certificate.probes:
        return ()
    certificate = turn.certificate
    return turn.tools.sockets.look(certificate.probes, certificate.server_name, certificate.key)


def watch(turn: Turn, judge: Judge, *, patient: bool) -> Evidence:
    """Look until *judge* finds its proof, and go on finding it for a moment.

    One look is not enough: nginx lets old and new workers accept connections side by side for a tenth of a second,
    and an Apache that is about to die still answers. Not *patient*: take the first evidence, also if it is bad.
    """
    sockets = turn.tools.sockets
    deadline = sockets.deadline() if patient else 0.0
    while True:
        evidence = _steady(turn, judge)
        if evidence.proof in {Proof.PROVEN, Proof.NOTHING_TO_ASK, Proof.UNKNOWN}:
            return evidence
        if not sockets.wait(deadline):
            return evidence


def _steady(turn: Turn, judge: Judge) -> Evidence:
    """PROVEN only if each of several looks in a row proves it; otherwise the first other evidence."""
    end = turn.tools.sockets.steady_until()
    while True:
        evidence = judge(look(turn))
        if evidence.proof is not Proof.PROVEN or not turn.tools.sockets.wait(end):
            return evidence
