"""How much a CA lets us ask for, and the holds after a refusal. Pure.

The database keeps the counts; here are the limits that CAs publish (docs/many-certificates.md) and the arithmetic.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from common.clock import parse_duration
from issuer.model.failure import Failure
from issuer.model.moments import believable

_HOUR, _WEEK = 3600, 7 * 86400
LONGEST_HOLD = 86400  # seconds, whatever the CA says: a hold on the account stops renewals too
LONGEST_HOLD_ON_NAME = _WEEK  # the span of the longest published limit
_RAISE = "raise limit_new_orders, limit_per_domain or limit_per_name_set in [acme] if the CA has granted you more"
PACED = Failure("paced inside the CA's published limits", hint=_RAISE)
OFTEN = Failure(
    "as many orders for it were opened within an hour as its CA may bear",
    hint="`history NAME` shows who asks; mend what fails, then `issue NAME --lift-hold`",
)
BY_A_LIMIT, BY_OURSELVES = "a limit of the CA", "certfleet itself"  # by whom an order is held
ACCOUNT = "*"  # scope of a hold on the whole account
REGISTRATION = "*registration"  # scope of a hold on registering the account, for every certificate without an order


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *count* in any *seconds*; a count of 0 means no limit. *in_window*: do orders count that replace a
    certificate in the window of its renewal information (RFC 9773)?"""

    count: int
    seconds: int
    in_window: bool = False

    def free_at(self, moments: Iterable[int], now: int) -> int:
        """The moment (epoch seconds) at which one more fits after the others at *moments*; *now* if it fits now."""
        if not self.count:
            return now
        recent = sorted(moment for moment in moments if believable(moment, now - self.seconds, self.seconds))
        return now if len(recent) < self.count else recent[len(recent) - self.count] + self.seconds


@dataclass(frozen=True, slots=True)
class CaLimits:
    """The limits of one CA for an account. *renewals_exempt*: a name set that was issued before counts only for the
    third. *of_one_name*: orders for one certificate, however they end; this issuer's own memory counts them, for
    somebody may have the database ask again and again."""

    new_orders: Limit = Limit(0, 1)
    per_domain: Limit = Limit(0, 1)
    per_name_set: Limit = Limit(0, 1)
    renewals_exempt: bool = False
    of_one_name: Limit = Limit(60, _HOUR)  # one a minute, the shortest of the retries by default

    @property
    def in_window(self) -> "CaLimits":
        """The limits for an order that replaces a certificate in the window of its renewal information."""
        limits = (self.new_orders, self.per_domain, self.per_name_set)
        orders, domain, names = (limit if limit.in_window else Limit(0, 1) for limit in limits)
        return replace(self, new_orders=orders, per_domain=domain, per_name_set=names)


_LETS_ENCRYPT = CaLimits(Limit(300, 3 * _HOUR), Limit(50, _WEEK), Limit(5, _WEEK), True, Limit(5, _HOUR))
_TABLE = {
    "acme-v02.api.letsencrypt.org": _LETS_ENCRYPT,
    "acme-staging-v02.api.letsencrypt.org": CaLimits(
        Limit(1500, 3 * _HOUR), Limit(30000, _WEEK), Limit(30000, _WEEK), True
    ),
}


def limits_of(directory: str) -> CaLimits:
    """The limits of the CA behind a directory URL; none for an unknown one."""
    return _TABLE.get(urlsplit(directory).hostname or "", CaLimits())


def parse_limit(text: str) -> Limit:
    """A limit as the configuration writes it, "300/3h" or "none": it holds for every order. Raises ValueError."""
    if text == "none":
        return Limit(0, 1)
    match = re.fullmatch(r"([1-9][0-9]{0,8})/(0*[1-9][0-9]*[smhd])", text)
    if match is None:
        raise ValueError(f'{text!r} is not a limit: write a number, a slash and a duration, like "300/3h", or "none"')
    return Limit(int(match[1]), parse_duration(match[2]), in_window=True)


def names_text(names: Iterable[str]) -> str:
    """A set of names as the tables hold it: sorted, separated by blanks."""
    return " ".join(sorted(names))


@dataclass(frozen=True, slots=True)
class Hold:
    """The CA refused and named a moment: *until* then (epoch seconds) nothing is asked for *scope*, a certificate's
    name or ACCOUNT, on that account (:func:`issuer.ca.account.account_id`). Without an account we hold it ourselves."""

    account: str
    scope: str
    until: int
    failure: Failure

    @property
    def by(self) -> str:
        """By whom it is kept, for people."""
        return BY_OURSELVES if self.failure is OFTEN else BY_A_LIMIT
