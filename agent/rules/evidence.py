"""Looks at a service's sockets, and the proof that they give about a certificate. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from agent.model.result import Outcome


class Seen(Enum):
    """How a look at one address ended."""

    SERVED = "served"  # a certificate was shown
    DOWN = "down"  # nothing listens there, or what listens speaks no TLS
    UNKNOWN = "unknown"  # it could not be asked: no address, no route


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at one address of one target."""

    target: str
    address: str
    seen: Seen
    problem: str = ""
    sha256: str = ""
    certificate: bytes = field(default=b"", repr=False)  # DER
    chain: tuple[str, ...] = ()  # SHA-256 of each certificate shown beside the leaf

    @property
    def where(self) -> tuple[str, str]:
        return self.target, self.address


class Proof(Enum):
    """The proof that the sockets of a certificate give, all together."""

    PROVEN = "proven"  # every socket that answers shows it, and at least one for each target does
    WRONG = "wrong"  # a socket shows another certificate, or one that answered before answers no more
    INCOMPLETE = "incomplete"  # as PROVEN, but a socket leaves out certificates of its chain
    DOWN = "down"  # a target answers on no address, and did not before either
    UNKNOWN = "unknown"  # a target could not be asked
    NOTHING_TO_ASK = "nothing-to-ask"  # no probe is configured


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof and the sentence that goes with it."""

    proof: Proof
    detail: str = ""


def judge(sights: Sequence[Sight], sha256: str, before: Sequence[Sight] = (), chain: Collection[str] = ()) -> Evidence:
    """Do *sights* prove that the certificate with *sha256* is served, and beside it every certificate of *chain*?
    *before*: what answered before the change."""
    if not sights:
        return Evidence(Proof.NOTHING_TO_ASK, "no probe is configured")
    answered_before = {sight.where for sight in before if sight.seen is Seen.SERVED}
    wrong, incomplete, down, unknown = [], [], [], []
    for target in dict.fromkeys(sight.target for sight in sights):
        looks = [sight for sight in sights if sight.target == target]
        others = [sight for sight in looks if sight.seen is Seen.SERVED and sight.sha256 != sha256]
        lost = [sight for sight in looks if sight.seen is not Seen.SERVED and sight.where in answered_before]
        wrong += [f"{_place(sight)} shows another certificate ({sight.sha256[:16]}…)" for sight in others]
        wrong += [f"{_place(sight)} answers no more: {sight.problem}" for sight in lost]
        incomplete += [_lacks(sight, lacking, chain) for sight in looks if (lacking := _lacking(sight, sha256, chain))]
        if others or lost or any(sight.seen is Seen.SERVED for sight in looks):
            continue
        silent = [sight for sight in looks if sight.seen is Seen.DOWN]
        down += [f"nothing answers at {_place(sight)}: {sight.problem}" for sight in silent]
        unknown += [f"{target} cannot be asked: {sight.problem}" for sight in looks if not silent]
    found = {Proof.WRONG: wrong, Proof.INCOMPLETE: incomplete, Proof.DOWN: down, Proof.UNKNOWN: unknown}
    for proof, problems in found.items():
        if problems:
            return Evidence(proof, "; ".join(problems))
    return Evidence(Proof.PROVEN)


def _lacking(sight: Sight, sha256: str, chain: Collection[str]) -> set[str]:
    """The certificates of *chain* that a socket leaves out where it shows their leaf."""
    return set(chain) - set(sight.chain) if sight.sha256 == sha256 else set()


def _lacks(sight: Sight, lacking: Collection[str], chain: Collection[str]) -> str:
    digests = ", ".join(f"{one[:16]}…" for one in sorted(lacking))
    return f"{_place(sight)} leaves out {len(lacking)} of {len(chain)} intermediate certificates ({digests})"


def is_as_before(sights: Sequence[Sight], before: Sequence[Sight]) -> Evidence:
    """After a roll back: does every address that showed a certificate before show the same one again?"""
    now = {sight.where: sight for sight in sights}
    problems = []
    for old in before:
        new = now.get(old.where)
        if old.seen is not Seen.SERVED:
            continue
        if new is None or new.seen is not Seen.SERVED:
            problems.append(f"{_place(old)} answers no more: {new.problem if new else 'its address is gone'}")
        elif new.sha256 != old.sha256:
            problems.append(f"{_place(old)} shows {new.sha256[:16]}…, not {old.sha256[:16]}… as before")
    return Evidence(Proof.WRONG, "; ".join(problems)) if problems else Evidence(Proof.PROVEN)


_REACHABLE = "name a socket that this host can reach in `probe`; ?connect=ADDRESS looks elsewhere under the same name"
_WHOLE = "let the service read the file with the full chain, or the chain's own: without it clients refuse the leaf"
_CONCLUSIONS = {
    Proof.PROVEN: (Outcome.INSTALLED, ""),
    Proof.INCOMPLETE: (Outcome.INCOMPLETE, _WHOLE),
    Proof.NOTHING_TO_ASK: (Outcome.UNPROVABLE, ""),
    Proof.WRONG: (Outcome.UNPROVEN, ""),
    Proof.DOWN: (Outcome.UNPROVEN, "start the service; the next run looks again"),
    Proof.UNKNOWN: (Outcome.UNPROVEN, _REACHABLE),
}


def conclusion(evidence: Evidence) -> tuple[Outcome, str, str]:
    """Outcome, detail and hint of a certificate whose files are in place; the texts are empty where all is proven."""
    outcome, hint = _CONCLUSIONS[evidence.proof]
    place = "the files are in place, but" if outcome is Outcome.INCOMPLETE else "the files are in place, not proven:"
    return outcome, f"{place} {evidence.detail}" if evidence.detail else "", hint


def served_any(before: Sequence[Sight]) -> bool:
    """Was there a certificate on any socket?"""
    return any(sight.seen is Seen.SERVED for sight in before)


def was_down(before: Sequence[Sight]) -> bool:
    """Did nothing answer at all, although it was asked?"""
    return bool(before) and all(sight.seen is Seen.DOWN for sight in before)


def _place(sight: Sight) -> str:
    return f"{sight.target} ({sight.address})"
