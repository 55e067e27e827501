"""Does the first certificate from another CA wait for a person's approval, and until when? Pure.

With ``on_ca_change = "hold"`` it is stored, and hosts go on with the present one until `approve`, the end of
``hold_for``, or the moment when little of the present one's life is left.
"""

import dataclasses
from shlex import quote

from common.certificate import Bundle, fingerprint, is_for_request, validity_faults
from common.clock import utc_text
from issuer.model.config import AWAIT_APPROVAL, RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.events import Event
from issuer.model.leaf import Leaf
from issuer.model.orders import Cause, OrderRecord
from issuer.rules.acceptance import Past
from issuer.rules.renewal import renewal_moment


def approval_wanted_until(row: Enrolment, order: OrderRecord, now: int, policy: RenewalSettings) -> int:
    """The end (epoch seconds) of the wait of the certificate of *order*, the first one from its CA; 0: no wait.
    Nothing waits where the present certificate is not good for that long, or where a person has enrolled another
    CSR."""
    if policy.on_ca_change != AWAIT_APPROVAL or row.change is not None or order.cause is Cause.INCIDENT:
        return 0
    until = _latest(row, policy)
    if policy.hold_for:
        until = min(until, now + policy.hold_for)
    return until if until > now else 0


def offered_at(row: Enrolment, policy: RenewalSettings) -> int | None:
    """When (epoch seconds) hosts get the certificate that waits in *row* without an approval; None where none waits."""
    waiting = row.waiting
    return None if waiting is None else min(waiting.until, _latest(row, policy))


def _latest(row: Enrolment, policy: RenewalSettings) -> int:
    """The moment at which half of the time from the renewal of the present certificate to its end has passed; 0 for one
    that is no good."""
    leaf = row.present
    if not isinstance(leaf, Leaf) or row.is_revoked or row.is_misfit or row.imported:
        return 0
    moment = renewal_moment(row.name, leaf.starts, leaf.ends, policy)
    return moment + (leaf.ends - moment) // 2


def offer_faults(row: Enrolment, bundle: Bundle, past: Past, now: int) -> list[str]:
    """Why the certificate that waits in *row* must not become the present one; [] if it may."""
    faults = [*validity_faults(bundle, now), *past.faults(bundle.leaf)]
    if is_for_request(bundle.leaf_pem, row.csr) is not True:
        faults.append("it is for another key than that of the CSR")
    if row.waiting is None or row.waiting.sha256 != fingerprint(bundle.leaf):
        faults.append("another certificate waits for approval")
    return faults


def awaiting(name: str, until: int) -> tuple[str, str]:
    """A sentence about the certificate that waits, and what to do."""
    moment = utc_text(until)
    sentence = f"a certificate from another CA waits for approval (`approve`); hosts get it at {moment} without one"
    return sentence, f"`certfleet-issuer approve {quote(name)}` gives it to them at once"


def telling_of_wait(changed: Event, until: int) -> Event:
    """The event *changed* about a CA, where the certificate waits."""
    sentence, what_to_do = awaiting(changed.name, until)
    before = changed.told
    told = dataclasses.replace(before, what=f"{before.what}: {sentence}", hint=f"{what_to_do}; {before.hint}")
    return dataclasses.replace(changed, told=told)
