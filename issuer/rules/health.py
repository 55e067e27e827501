"""The state of a certificate in a word or two for people, and whether it is well. Pure."""

from shlex import quote

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules.due import MISFIT
from issuer.rules.imported import runs_out, sentence
from issuer.rules.renewal import is_overdue

NOT_SEALED, NOT_SIGNED = "not sealed", "not signed"
STATES = (  # the worst first
    "expired",
    "key compromised",
    "revoked",
    NOT_SEALED,
    "damaged",
    "wrong key",
    NOT_SIGNED,
    "stuck",
    "failing",
    "ends soon",
    "held",
    "waiting for its first certificate",
    "valid",
)

_ADVICE = {
    "revoked": "clients refuse it; `issue {}` makes a new one, `import` takes one from elsewhere",
    "damaged": "the present certificate cannot be read; `issue {}` makes a new one",
    "wrong key": f"{MISFIT}; `issue {{}}` makes a new one",
    "ends soon": "its renewal is overdue: see that `run` or `daemon` is at work; `issue {}` makes a new one",
}

_OF_DISABLED = ("expired", "revoked", "key compromised", "ends soon")

Severity = tuple[bool, bool, int, bool]
"""The lowest is the worst: those that are not well, then those that are, then disabled ones; among them by state; then
what is due."""


def health(row: Enrolment, state: str) -> tuple[str, bool]:
    """(its *state* for people, is it well?). A disabled certificate is well: nobody asked us to keep it fresh. One
    whose key others know is not well, disabled or not."""
    well = _well(state, row)
    if not row.enabled:
        state = f"disabled, {state}" if state in _OF_DISABLED else "disabled"
    return (f"{state}, rolled back" if row.rolled_back else state), well


def advice(row: Enrolment, now: int, policy: RenewalSettings) -> str:
    """A sentence about an enabled certificate that is not well without a failure, and what to do; "" for others."""
    if not row.enabled:
        return ""
    if runs_out(row, now, policy):
        return sentence(row)
    return _ADVICE.get(state_of(row, now, policy), "").format(quote(row.name))


def severity(row: Enrolment, state: str, now: int, *, hosts_not_well: int = 0) -> Severity:
    """The place of *row*, which is in this *state*, in a list that begins with the worst."""
    change_fails = row.change is not None and row.change.failing
    well = _well(state, row) and not (row.enabled and (hosts_not_well or change_fails))
    waits = row.imported or (row.due_at is not None and row.due_at > now)
    return well, well and not row.enabled, STATES.index(state), waits


def _well(state: str, row: Enrolment) -> bool:
    return state in ("valid", "waiting for its first certificate") or not (row.enabled or state == "key compromised")


def state_of(row: Enrolment, now: int, policy: RenewalSettings, *, held: bool = False, doubt: str = "") -> str:
    """One of the words of STATES. *held*: its next attempt waits for a moment that the CA named. *doubt*:
    NOT_SEALED where its row is not what an operator enrolled, NOT_SIGNED where its certificate is not the last one that
    an issuer signed."""
    if row.crt and row.ends <= now:
        return "expired"
    if row.is_revoked:
        return "revoked"
    if key_is_known(row):
        return "key compromised"
    if doubt == NOT_SEALED:
        return NOT_SEALED
    if row.failing:
        return "stuck" if row.failures >= policy.give_up_alarm else "failing"
    if row.crt and row.life is None:
        return "damaged"
    if row.is_misfit:
        return "wrong key"
    if doubt == NOT_SIGNED:
        return NOT_SIGNED
    if runs_out(row, now, policy) or is_overdue(row, now, policy):
        return "ends soon"
    if held:
        return "held"
    return "valid" if row.crt else "waiting for its first certificate"


def key_is_known(row: Enrolment) -> bool:
    """Was the key of the present certificate revoked as compromised?"""
    return bool(row.compromised) and isinstance(row.present, Leaf) and row.present.spki_sha256 in row.compromised
