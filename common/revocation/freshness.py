"""Does a signed statement about revocation count at a moment? Pure."""

from datetime import datetime

from common.clock import utc_text

_SKEW = 300  # seconds that the CA's clock may be ahead of ours


def fault_of_dates(what: str, this_update: datetime, until: float, now: float) -> str:
    """A sentence about *what*, such as "the list", that was made at *this_update* and is good *until* then (epoch
    seconds); "" if it counts at *now*."""
    if this_update.timestamp() > now + _SKEW:
        return f"{what} is from {utc_text(this_update.timestamp())}, which is ahead of this machine's clock"
    return f"{what} is stale: a newer one was due at {utc_text(until)}" if until <= now else ""
