"""The state of a certificate in a word or two for people, and whether it is well. Pure."""

from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules.imported import runs_out


def health(row: Enrolment, now: int, policy: RenewalSettings, *, held: bool = False) -> tuple[str, bool]:
    """(state for people, is it well?). A disabled certificate is well: nobody asked us to keep it fresh. One whose key
    others know is not well, disabled or not. *held*: its next attempt waits for a moment that the CA named."""
    if row.crt and row.ends <= now:
        state = "expired"
    elif row.revoked:
        state = "revoked"
    elif _known_to_others(row):
        state = "key compromised"
    elif row.failing:
        state = "stuck" if row.failures >= policy.give_up_alarm else "failing"
    elif runs_out(row, now, policy):
        state = "ends soon"
    elif held:
        state = "held"
    elif not row.crt:
        state = "waiting for its first certificate"
    else:
        state = "valid"
    well = state in ("valid", "waiting for its first certificate") or not (row.enabled or state == "key compromised")
    if not row.enabled:
        state = f"disabled, {state}" if state in ("expired", "revoked", "key compromised") else "disabled"
    return (f"{state}, rolled back" if row.rolled_back else state), well


def _known_to_others(row: Enrolment) -> bool:
    """Was the key of the present certificate revoked as compromised?"""
    return bool(row.compromised) and isinstance(row.present, Leaf) and row.present.spki_sha256 in row.compromised
