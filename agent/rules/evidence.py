"""Looks at a service's sockets, and the proof that they give about a certificate. Pure."""

from collections.abc import Callable, Collection, Iterator, Sequence
from enum import Enum, IntEnum
from pathlib import Path

from agent.model.certificate import Certificate, Service
from agent.model.remote_host import RemoteHost
from common.dataclasses import dataclass, field, replace
from common.probe.target import ProbeTarget
from common.probe.view import NO_ANSWER, Seen


@dataclass(frozen=True, slots=True)
class LookAt:
    """A question: what do the sockets of a certificate show?"""

    targets: Sequence[ProbeTarget]
    server_name: str  # for those that name none
    key: Path  # its file, for a service that has a certificate for each type of key
    host: RemoteHost | None  # the machine of service and key, None for this one


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at one address of one target."""

    target: str
    address: str
    seen: Seen
    problem: str = ""
    sha256: str = ""
    chain: tuple[str, ...] = ()  # SHA-256 of each certificate shown beside the leaf
    shared: bool = False  # the target has several addresses, and none is this host's: others may serve there as well
    leaf: bytes = field(default=b"", repr=False, compare=False)  # in DER; no journal keeps it
    listens: bool = False  # something is there all the same, where it is UNKNOWN


class Proof(Enum):
    """The proof that the sockets of a certificate give, all together."""

    PROVEN = "proven"  # every socket that answers shows it, and at least one for each target does
    WRONG = "wrong"  # a socket shows another certificate, or less than before: none, or nothing listens any more
    PENDING = "pending"  # a socket does not show it, and its service is restarted by hand
    INCOMPLETE = "incomplete"  # as PROVEN, but a socket leaves out certificates of its chain
    DOWN = "down"  # no address of a target shows a certificate, and none showed more before
    UNKNOWN = "unknown"  # a target could not be asked
    NOTHING_TO_ASK = "nothing-to-ask"  # no probe is configured


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof, and the sentence that goes with it."""

    proof: Proof
    detail: str = ""
    others: tuple[Sight, ...] = ()  # that show another certificate
    lost: tuple[Sight, ...] = ()  # that show less than before
    silent: tuple[Sight, ...] = ()  # that show none, and there was none


def judge(
    sights: Sequence[Sight],
    sha256: str,
    before: Sequence[Sight] = (),
    chain: Collection[str] = (),
    by_hand: Collection[str] = (),
) -> Evidence:
    """Do *sights* prove that the certificate with *sha256* is served, and beside it every certificate of *chain*
    (SHA-256 too)? *before*: what answered before the change; *by_hand*: the texts of targets that show it only after an
    operator has restarted their service."""
    if not sights:
        return Evidence(Proof.NOTHING_TO_ASK, "no probe is configured")
    faults: list[_Fault] = []
    for target in dict.fromkeys(sight.target for sight in sights):
        looks = _ours([sight for sight in sights if sight.target == target], {sha256})
        awaited = [sight for sight in looks if sight.sha256 != sha256] if target in by_hand else []
        was = [sight for sight in before if sight.target == target]
        faults += map(_awaited, awaited) if awaited else _faults(looks, was, sha256, chain)
    proof = min((one.proof for one in faults), key=_WORST_FIRST.index, default=Proof.PROVEN)
    wrong = [one.sight for one in faults if one.proof is Proof.WRONG]
    return Evidence(
        proof,
        "; ".join(one.sentence for one in faults if one.proof is proof),
        others=tuple(sight for sight in wrong if sight.seen is Seen.SERVED),
        lost=tuple(sight for sight in wrong if sight.seen is not Seen.SERVED),
        silent=tuple(one.sight for one in faults if one.proof is Proof.DOWN),
    )


_WORST_FIRST = (Proof.WRONG, Proof.PENDING, Proof.INCOMPLETE, Proof.DOWN, Proof.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Fault:
    """A *sight* that speaks against a certificate, and the *proof* that its sockets give at best with it."""

    proof: Proof
    sight: Sight
    sentence: str


def _faults(looks: Sequence[Sight], before: Sequence[Sight], sha256: str, chain: Collection[str]) -> Iterator[_Fault]:
    """The faults of one target."""
    others = [sight for sight in looks if sight.seen is Seen.SERVED and sight.sha256 != sha256]
    lost = _lost(looks, before)
    for sight in others:
        yield _Fault(Proof.WRONG, sight, f"{_place(sight)} shows another certificate ({sight.sha256[:16]}…)")
    for sight in lost:
        yield _Fault(Proof.WRONG, sight, f"{_place(sight)} {_GONE.get(sight.seen, _NO_MORE)}: {sight.problem}")
    for sight in looks:
        if lacking := _lacking(sight, sha256, chain):
            yield _Fault(Proof.INCOMPLETE, sight, _lacks(sight, lacking, chain))
    if others or lost or any(sight.seen is Seen.SERVED for sight in looks):
        return
    silent = [sight for sight in looks if sight.seen in _ASKED]
    for sight in silent:
        yield _Fault(Proof.DOWN, sight, f"{_ASKED[sight.seen]} {_place(sight)}: {sight.problem}")
    for sight in looks if not silent else ():
        yield _Fault(Proof.UNKNOWN, sight, f"{sight.target} cannot be asked: {sight.problem}")


def with_neighbours(
    sights: Sequence[Sight], judged: Callable[[Sequence[Sight]], Evidence], neighbours: Sequence[Sight]
) -> Evidence:
    """The evidence *judged* on the own *sights*; WRONG too if a socket of a neighbour, another certificate for the same
    service, shows nothing where there was something before. A neighbour may show any certificate."""
    targets = dict.fromkeys(sight.target for sight in neighbours)
    found, problems = judged([sight for sight in sights if sight.target not in targets]), list[str]()
    gone = list[Sight]()
    for target in targets:
        now, was = ([_roughly(one) for one in some if one.target == target] for some in (sights, neighbours))
        gone += (lost := _lost(now, was))
        told = (f"{_GONE.get(sight.seen, _NO_MORE)}: {sight.problem}" for sight in lost)
        problems += [f"{target}, where the same service has another certificate, {one}" for one in told]
    if not problems:
        return found
    own = [found.detail] if found.proof is Proof.WRONG else []
    return Evidence(Proof.WRONG, "; ".join([*own, *problems]), found.others, (*found.lost, *gone))


def foreseen(
    before: Sequence[Sight],
    sha256: str,
    chain: Collection[str],
    by_hand: Collection[str] = (),
    coming: Collection[str] = (),
) -> Evidence:
    """The evidence after an install that goes well, from the sights *before* it: a socket that shows a certificate now
    shows the new one then, and so does one of a target that is *coming*; others stay as they are."""

    def then(sight: Sight) -> Sight:
        shows = sight.seen is Seen.SERVED or (sight.target in coming and sight.seen is not Seen.UNKNOWN)
        if sight.target in by_hand or not shows:
            return sight
        return replace(sight, seen=Seen.SERVED, sha256=sha256, chain=tuple(chain))

    after = list(map(then, before))
    return judge(after, sha256, before, chain, by_hand)


_NO_MORE = "answers no more"
_GONE = {Seen.NO_TLS: "shows no certificate any more"}
_ASKED = {Seen.DOWN: "nothing answers at", Seen.NO_TLS: "no certificate is shown at"}


class _Rank(IntEnum):
    """How much a look shows of a service."""

    NOTHING = 0  # or nobody could be asked
    NO_CERTIFICATE = 1
    LISTENS = 2  # but could not be asked for its certificate, as in TLS 1.3 where it shows one with another type of key
    SERVED = 3


_RANKS = {Seen.SERVED: _Rank.SERVED, Seen.NO_TLS: _Rank.NO_CERTIFICATE}


def _rank(sight: Sight) -> _Rank:
    return _RANKS.get(sight.seen, _Rank.LISTENS if sight.listens else _Rank.NOTHING)


def _roughly(sight: Sight) -> Sight:
    """The sight of a neighbour: something is there, whatever it serves."""
    return replace(sight, seen=Seen.UNKNOWN, listens=True) if sight.seen is Seen.SERVED else sight


def _ours(looks: Sequence[Sight], wanted: Collection[str]) -> Sequence[Sight]:
    """The looks at a target that say something about this host. Where addresses are shared, one that shows a *wanted*
    leaf is enough: the others may be those of hosts that have not got it yet."""
    proofs = [sight for sight in looks if sight.shared and sight.sha256 in wanted]
    return proofs or looks


def _lost(looks: Sequence[Sight], before: Sequence[Sight]) -> Sequence[Sight]:
    """The *looks* at a target that show less than there was before. All of them, where no address shows as much as one
    did before: the name may have no address any more."""
    was = {sight.address: _rank(sight) for sight in before}
    most = max(was.values(), default=_Rank.NOTHING)
    less = [sight for sight in looks if _rank(sight) < most]
    if len(less) == len(looks):
        return less
    return [sight for sight in less if _rank(sight) < was.get(sight.address, _Rank.NOTHING) and not sight.shared]


def _lacking(sight: Sight, sha256: str, chain: Collection[str]) -> set[str]:
    """The certificates of *chain* that a socket leaves out where it shows their leaf."""
    return set(chain) - set(sight.chain) if sight.sha256 == sha256 else set()


def _lacks(sight: Sight, lacking: Collection[str], chain: Collection[str]) -> str:
    digests = ", ".join(f"{one[:16]}…" for one in sorted(lacking))
    return f"{_place(sight)} leaves out {len(lacking)} of {len(chain)} intermediate certificates ({digests})"


def _awaited(sight: Sight) -> _Fault:
    """The fault of a socket until a person has restarted its service, which may have ended by that."""
    return _Fault(
        Proof.PENDING, sight, ": ".join(filter(None, (f"{_place(sight)} does not show it yet", sight.problem)))
    )


def is_as_before(
    sights: Sequence[Sight], before: Sequence[Sight], own: str = "", stays: Collection[str] = ()
) -> Evidence:
    """After a roll back: does every address show the certificate that it showed *before*, and as much as before where
    it showed none? WRONG where one does not; UNKNOWN where there was something, but no certificate; NOTHING_TO_ASK
    where nothing was. Of addresses that are shared, one is enough. *own*: the leaf that was installed. An address that
    showed another leaf may show one that *stays* instead: that certificate was renewed in the same install, or has
    waited for a reload since an earlier one."""
    found = []
    for target in dict.fromkeys(sight.target for sight in before if _rank(sight)):
        was = {sight.address: sight for sight in before if sight.target == target and _rank(sight)}
        now = {sight.address: sight for sight in sights if sight.target == target}
        most = max(map(_rank, was.values()))
        best = [sight for sight in was.values() if _rank(sight) == most]
        if any(sight.shared and not _differs(old, sight, own, stays) for old in best for sight in now.values()):
            continue
        found += [(old, _differs(old, now.get(old.address), own, stays)) for old in was.values()]
    if told := "; ".join(problem for _, problem in found if problem):
        return Evidence(Proof.WRONG, told, lost=tuple(old for old, problem in found if problem))
    if served_any(before):
        return Evidence(Proof.PROVEN)
    return Evidence(Proof.UNKNOWN if runs(before) else Proof.NOTHING_TO_ASK)


def _differs(old: Sight, new: Sight | None, own: str, stays: Collection[str]) -> str:
    """How an address shows another thing than before, or less; "" if it does not."""
    if new is None or _rank(new) < _rank(old):
        gone = _GONE.get(new.seen, _NO_MORE) if new is not None else _NO_MORE
        return f"{_place(old)} {gone}: {new.problem if new is not None else 'its address is gone'}"
    is_as_good = new.sha256 == old.sha256 or (old.sha256 != own and new.sha256 in stays)
    if old.seen is Seen.SERVED and not is_as_good:
        return f"{_place(old)} shows {new.sha256[:16]}…, not {old.sha256[:16]}… as before"
    return ""


def served_any(before: Sequence[Sight]) -> bool:
    """Was there a certificate on any socket?"""
    return any(sight.seen is Seen.SERVED for sight in before)


def sights_of(service: Service, certificate: Certificate, sights: Sequence[Sight]) -> list[Sight]:
    """The *sights* of *certificate* that show sockets of *service*."""
    texts = {probe.text for use in certificate.uses if use.service == service for probe in use.probes}
    return [sight for sight in sights if sight.target in texts]


def was_down(before: Sequence[Sight]) -> bool:
    """Did nothing listen at all, although each target was asked at an address? What answers without TLS does run."""
    asked = {sight.target for sight in before if sight.seen is Seen.DOWN}
    return bool(before) and not runs(before) and asked == {sight.target for sight in before}


def is_silent(sights: Sequence[Sight]) -> bool:
    """Does nothing answer? The kernel takes connections for a service that hangs, too."""
    return was_down(
        [replace(one, seen=Seen.DOWN, listens=False) if one.problem == NO_ANSWER else one for one in sights]
    )


def runs(before: Sequence[Sight]) -> bool:
    """Is anything there, with TLS or without?"""
    return any(map(_rank, before))


def _place(sight: Sight) -> str:
    return f"{sight.target} ({sight.address}{', not an address of this host' if sight.shared else ''})"
