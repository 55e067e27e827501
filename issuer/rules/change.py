"""A change waits: which CSR does an attempt order, the present one or the new one? Pure.

The new CSR goes first. Where it has failed, each of the two has its own moments and failures: the present certificate
is renewed at its own moment whatever becomes of the change, and a renewal that fails does not keep the change waiting.
An order that is under way goes on before another is opened.
"""

from enum import Enum
from shlex import quote

from common import dataclasses
from common.clock import utc_text
from common.dataclasses import dataclass
from common.names import uncovered
from issuer.model.config import RenewalSettings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import AT_ONCE, Change, Enrolment, Validation, csr_digest
from issuer.model.leaf import Damaged, Leaf
from issuer.model.orders import OrderRecord
from issuer.model.outcomes import Ended, Ending
from issuer.rules.approval import awaiting
from issuer.rules.due import Due, NotDue, decide, still_waits


class Outcome(Enum):
    """The effect of another CSR."""

    WAITS = "it waits, and takes the place of the present one with its certificate"
    TAKEN = "it is the CSR of the row: there is no certificate that it would have to wait for"
    SAME = "it is the CSR of the row already"
    DROPPED = "it is the CSR of the row already, and the change that waited is dropped"


def outcome_of(row: Enrolment, csr: CsrFacts) -> Outcome:
    """The effect of enrolling *csr* for *row*."""
    old = row.request
    # without their signatures, of which one key makes many
    if not isinstance(old, Damaged) and old.request.tbs_certrequest_bytes == csr.request.tbs_certrequest_bytes:
        return Outcome.SAME if row.change is None else Outcome.DROPPED
    return Outcome.WAITS if row.crt else Outcome.TAKEN


def turn(row: Enrolment, now: int, policy: RenewalSettings) -> Enrolment:
    """*row* as the next attempt is to see it: as it is, or as its change sees it."""
    if row.change is None:
        return row
    changing = as_changing(row, row.change)
    if row.ordered in (csr_digest(row.csr), csr_digest(row.change.csr)):
        return row if row.ordered == csr_digest(row.csr) else changing
    if still_waits(changing, now, policy):
        return row
    due = isinstance(decide(row, now, policy, consulted=True), Due) and row.key_sha256 not in row.compromised
    return row if due and (row.due_at or 0) < row.change.due_at else changing


def as_changing(row: Enrolment, change: Change) -> Enrolment:
    """*row* as an attempt for *change* sees it."""
    return dataclasses.replace(
        row,
        csr=change.csr,
        md5_modulus="",
        due_at=change.due_at,
        failures=change.failures,
        failure=change.failure,
        changing=True,
        seal=change.seal,
        validation=change.validation,
    )


def asked_for(row: Enrolment, reason: str) -> Enrolment:
    """*row* when a person has asked for a certificate at once."""
    change = None if row.change is None else dataclasses.replace(row.change, due_at=AT_ONCE)
    return dataclasses.replace(row, reissue_reason=reason, due_at=None, change=change)


def newest(row: Enrolment) -> Enrolment:
    """*row* with the CSR that was enrolled last, whether or not there is a certificate for it."""
    return row if row.change is None else as_changing(row, row.change)


def shares(row: Enrolment) -> list[tuple[Validation, list[str]]]:
    """The names of *row* and of its change, which are both ordered as long as it waits: those with the same validation
    together. Names of a CSR that cannot be used are left out."""
    found: dict[Validation, list[str]] = {}
    for seen in dict.fromkeys((newest(row), row)):
        names = () if isinstance(seen.request, Damaged) else seen.request.names
        for way, some in seen.validation.shares(names):
            there = found.setdefault(way, [])
            there += [name for name in some if name not in there]
    return list(found.items())


def of_csr(row: Enrolment, csr: bytes) -> Enrolment | None:
    """*row* as an attempt for *csr* sees it; None where neither the row nor its change has that CSR."""
    return next((seen for seen in dict.fromkeys((row, newest(row))) if seen.csr == csr), None)


def of_order(row: Enrolment, order: OrderRecord) -> Enrolment | None:
    """*row* as an attempt that goes on with *order* sees it; None for an order of a CSR that is enrolled no more."""
    if not order.csr_sha256:
        return row
    return next((seen for seen in (row, newest(row)) if csr_digest(seen.csr) == order.csr_sha256), None)


def other_moment(seen: Enrolment, row: Enrolment, now: int, policy: RenewalSettings) -> int | None:
    """The next moment (epoch seconds) of the CSR of *row* that an attempt for *seen* is not about; None without one."""
    if row.change is None:
        return None
    if not seen.changing:
        return max(1, row.change.due_at)
    decision = decide(row, now, policy, consulted=True)
    return decision.until if isinstance(decision, NotDue) else now


def append_faults(row: Enrolment, csr: CsrFacts) -> list[str]:
    """Why *csr* does not only add names to the CSR of *row*, without one to its certificate."""
    old = row.request if row.csr else row.present
    if old is None or isinstance(old, Damaged):
        return [f"the CSR that is enrolled is not usable: {old.why if old else 'it is empty'}"]
    faults = [] if csr.spki_sha256 == old.spki_sha256 else ["its key is another one"]
    lost = sorted(set(old.names) - set(csr.names))
    return [*faults, f"it lacks {', '.join(lost)}"] if lost else faults


def failed_as(row: Enrolment) -> Enrolment | None:
    """*row* as its change sees it if that failed, else as it is if it failed; None where neither did."""
    if row.change is not None and row.change.failing:
        return as_changing(row, row.change)
    return row if row.failing else None


def lacking(row: Enrolment) -> list[str]:
    """The names of the row's CSR that the present certificate does not carry."""
    if isinstance(row.request, Damaged) or not isinstance(row.present, Leaf):
        return []
    return sorted(uncovered(frozenset(row.request.names), row.present.names))


def stored(seen: Enrolment, detail: str) -> Ended:
    """The end of an attempt for *seen* that stored a certificate; *detail* tells about it. Where that was a renewal and
    the change has failed before, the certificate as a whole is not well yet."""
    change = seen.change
    if change is None or seen.changing:
        return Ended(seen.name, Ending.STORED, detail)
    if not change.failing:
        return Ended(seen.name, Ending.STORED, detail, other_at=max(1, change.due_at))
    renewed = f"the present certificate was renewed: {detail}"
    return Ended(
        seen.name, Ending.FAILED, renewed, change.due_at, change.failure, change.failures, by_itself=seen.enabled
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A change beside the present certificate, for people: the names that come and go, and whether the key does."""

    added: tuple[str, ...]
    gone: tuple[str, ...]
    another_key: bool

    def __str__(self) -> str:
        parts = [
            f"adds {', '.join(self.added)}" if self.added else "",
            f"drops {', '.join(self.gone)}" if self.gone else "",
            "has another key" if self.another_key else "",
        ]
        return ", ".join(filter(None, parts)) or "has the same names and key"


def difference(row: Enrolment, csr: CsrFacts) -> Difference:
    """The difference of *csr* to the CSR of *row*, or without one to its certificate."""
    old = row.request if row.csr else row.present
    if old is None or isinstance(old, Damaged):
        return Difference(csr.names, (), another_key=True)
    before, after = set(old.names), set(csr.names)
    return Difference(tuple(sorted(after - before)), tuple(sorted(before - after)), csr.spki_sha256 != old.spki_sha256)


def remarks(row: Enrolment) -> list[str]:
    """Sentences about names that the present certificate lacks, and about a certificate or a change that waits."""
    return [sentence for sentence, _ in advised(row)]


def advised(row: Enrolment) -> list[tuple[str, str]]:
    """The :func:`remarks`, each with what to do about it."""
    told, typed = [], quote(row.name)
    missing = lacking(row)
    if missing:
        sentence = f"the present certificate does not carry {', '.join(missing)}, which its CSR has"
        told.append((sentence, f"`certfleet-issuer reissue {typed}` makes one with all names"))
    if row.waiting is not None:
        told.append(awaiting(row.name, row.waiting.until))
    if row.change is not None:
        request = newest(row).request
        what = request.why if isinstance(request, Damaged) else str(difference(row, request))
        sentence = f"a change waits: its CSR {what}; it takes effect when its certificate is stored"
        orders = "no action needed, a `run` orders it"
        if row.takeover_at is not None:
            orders += f" from {utc_text(row.takeover_at)} on, unless a newer certificate is imported before"
        orders = orders if row.enabled else f"`certfleet-issuer enable {typed}` if it is to"
        told.append((sentence, orders))
        if row.change.failure is not None:
            sentence = f"the last attempt at the change failed: {row.change.failure.sentence}"
            told.append((sentence, f"when that is mended, `certfleet-issuer issue {typed}` tries it at once"))
    return told
