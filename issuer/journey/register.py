"""Our account at a CA, registered before the first order of this process.

A CA that refuses to register it refuses that for every certificate alike. So one certificate asks, and fails; the
others are held until that one is tried again, by whichever issuer on the database.
"""

from issuer.journey.ports import CertificateAuthority, Tools
from issuer.model.errors import AcmeProblem, NotRegistered
from issuer.model.failure import Failure
from issuer.model.limits import LONGEST_HOLD, REGISTRATION
from issuer.rules.retry import interrupts


def have_account(ca: CertificateAuthority, tools: Tools) -> None:
    """Register our account at *ca*, unless that is done. Raises NotRegistered where another certificate was
    refused it and is to ask again later; CertfleetError."""
    if ca.registered:
        return
    with tools.registering:  # attempts that wait here hear of a refusal, and do not ask again
        before = refused(ca, tools)
        if before is not None:
            raise NotRegistered(*before)
        try:
            ca.account_url()
        except AcmeProblem as problem:
            if not interrupts(problem):  # until this certificate is tried again: only a person can mend it
                now = int(tools.clock())
                until = now + min(tools.settings.renewal.retry[-1], LONGEST_HOLD)
                tools.holds.add(ca.account_id, REGISTRATION, until, Failure.of(problem, hint=""), now)
            raise


def refused(ca: CertificateAuthority, tools: Tools) -> tuple[int, str] | None:
    """Until when (epoch seconds) *ca* is not asked again to register our account, and why; None if it may be asked."""
    held = tools.holds.until(ca.account_id, REGISTRATION, int(tools.clock()), goes_on=True)
    return None if held is None else (held[0], str(held[1]))
