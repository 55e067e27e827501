"""A certificate that waited for approval becomes the present one: hosts get it from now on."""

import structlog

from common import dataclasses
from common.certificate import not_after, not_before, serial_text
from common.clock import utc_text
from common.errors import CertfleetError, RefusedError
from issuer.journey.ports import Seals
from issuer.journey.rows import ApprovalStore
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.rules.approval import offer_faults
from issuer.rules.renewal import ask_again_at, renewal_moment

log = structlog.get_logger()


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
    due_at = renewal_moment(row.name, starts, ends, policy)
    ask_at = ask_again_at(None, now) if waiting.asks else None
    first_look = due_at if ask_at is None else min(due_at, ask_at)
    if not approvals.offer(row, bundle, now, due_at=first_look, ask_at=ask_at):
        return None
    try:
        seals.stored(row.name, bundle, now)
    except CertfleetError as error:  # it is stored; the next look at the row remembers it
        log.warning("seal.not_remembered", certificate=row.name, error=str(error))
    return f"serial {serial_text(bundle.leaf)}, valid until {utc_text(ends)}"
