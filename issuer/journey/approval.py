"""A certificate that waited for approval becomes the present one: hosts get it from now on."""

import dataclasses

from common.certificate import not_after, not_before
from common.errors import RefusedError
from issuer.journey.ports import Seals
from issuer.journey.rows import ApprovalStore
from issuer.journey.sealed import remember_stored
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import in_short
from issuer.model.obtained import Obtained
from issuer.rules.approval import offer_faults
from issuer.rules.renewal import first_look


def believed(row: Enrolment, seals: Seals) -> Enrolment:
    """*row*; where no issuer sealed its certificate that waits for approval, *row* without that, because it would keep
    renewals away. Raises ConfigError, FileError."""
    if not row.unapproved or seals.unapproved(row) is not None:
        return row
    return dataclasses.replace(row, unapproved="")


def offer(row: Enrolment, approvals: ApprovalStore, seals: Seals, policy: RenewalSettings, now: int) -> str | None:
    """Make the certificate that waits for approval in *row* the present one. Returns its serial and end, for people;
    None where somebody was faster. Raises RefusedError for one that must not be used, StoreError, ConfigError."""
    waiting = seals.unapproved(row)
    bundle = approvals.certificate(row) if waiting is not None else None
    if waiting is None or bundle is None:
        faults = ["no issuer kept it there" if waiting is None else "the table versions has it no more"]
    else:
        faults = offer_faults(row, bundle, seals.past(row.name), now)
    if faults or waiting is None or bundle is None:
        what = f"the certificate that waits for approval in {row.name} cannot be used"
        raise RefusedError(what, why="; ".join(faults), hint="no action needed: the next one is ordered when it is due")
    starts, ends = not_before(bundle.leaf), not_after(bundle.leaf)
    due_at, ask_at = first_look(row.name, starts, ends, policy, now, asks=waiting.asks)
    obtained = Obtained(
        row.csr,
        bundle,
        waiting.directory,
        due_at,
        ask_at,
        account=waiting.account,
        profile=waiting.profile,
        early=waiting.early,
    )
    if not approvals.offer(row, obtained, now):
        return None
    remember_stored(row.name, bundle, now, seals)
    return in_short(bundle.leaf)
