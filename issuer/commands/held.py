"""Which certificates wait for the end of a CA's hold, or for room in its limits: for `status` and `issue`."""

from collections.abc import Mapping, Sequence

from common.clock import utc_text
from common.errors import ConfigError, FileError
from issuer.journey.pacing import Pacing
from issuer.model.config import CaSettings, Settings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged
from issuer.model.limits import ACCOUNT, OFTEN, PACED, REGISTRATION, CaLimits, Hold
from issuer.model.orders import OrderState
from issuer.rules.change import turn
from issuer.rules.forecast import hold_on, waits_longer
from issuer.rules.renewal import remaining, renews
from issuer.rules.retry import next_authority
from issuer.store.counts import CountsAtOnce
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.overview import Overview
from issuer.trust.memory import MEMORY, Memory


class HeldUp:
    """The holds at *now* (epoch seconds). Raises StoreError."""

    def __init__(self, settings: Settings, database: Database, now: int):
        self._settings = settings
        self._counts = CountsAtOnce(database)
        self._holds = Holds(database).all(now)
        self._now = now
        self._scopes = {hold.scope for hold in self._holds}
        self._accounts = _accounts(settings) if self._holds else {}
        self._memory = Memory(settings.state_dir / MEMORY)
        self._ordered = self._orders_of_late()
        self._overview = Overview(database)
        self._limited = any(ca.limits != CaLimits() for ca in settings.authorities)

    def by(self, row: Enrolment) -> Hold | None:
        """The hold that the next attempt of *row* meets; None without one. A hold of our own has no account."""
        row = turn(row, self._now, self._settings.renewal)
        paced = self._limited and waits_longer(row, self._now, self._settings.renewal)
        of_the_ca = not self._scopes.isdisjoint((ACCOUNT, REGISTRATION, row.scope[:190]))
        if not (paced or of_the_ca or row.name in self._ordered):
            return None
        authorities = self._settings.authorities
        left = remaining(row, self._now) if len(authorities) > 1 else None
        soon = self._now + self._settings.renewal.retry[0]
        ca = next_authority(row, authorities, left, lambda each: self._held_until(row, each), soon)
        hold = self._at(row, ca) or self._often(row, ca)
        return self._paced(row, ca) if hold is None and paced else hold

    def _held_until(self, row: Enrolment, ca: CaSettings) -> int:
        hold = self._at(row, ca)
        return hold.until if hold is not None else 0

    def _at(self, row: Enrolment, ca: CaSettings) -> Hold | None:
        """The hold of *ca* that the next attempt of *row* would meet there."""
        account = self._accounts.get(ca.directory, "")
        return hold_on(row, self._holds, account, self._now, self._settings.renewal)

    def sentence(self, hold: Hold) -> str:
        """End, CA and reason of *hold*."""
        if not hold.account:
            return f"until {utc_text(hold.until)} by certfleet itself: {hold.failure}; {hold.failure.hint}"
        known = [directory for directory, account in self._accounts.items() if account == hold.account]
        return f"until {utc_text(hold.until)} by {known[0] if known else 'the CA'}: {hold.failure}"

    def _often(self, row: Enrolment, ca: CaSettings) -> Hold | None:
        """The hold after more orders for *row* than *ca* may bear. Only our memory says so. An order that the CA knows
        goes on."""
        until = ca.limits.of_one_name.free_at(self._ordered.get(row.name, ()), self._now)
        if until <= self._now:
            return None
        order = self._overview.order(row.name)
        if order is not None and order.state != OrderState.PLANNED.value:
            return None
        return hold_on(row, [Hold("", row.scope[:190], until, OFTEN)], "", self._now, self._settings.renewal)

    def _paced(self, row: Enrolment, ca: CaSettings) -> Hold | None:
        """The hold of our own pacing, if the limits of *ca* leave no room now. Nothing in the row says so."""
        if isinstance(row.request, Damaged):
            return None
        names = row.request.names
        pacing = Pacing(ca.directory, ca.limits, self._counts)
        free_at = pacing.free_at(names, self._now, renewal=renews(row, names, ca.directory))
        free_at = max(free_at, pacing.issued_again_at(self._issued(row), self._now))
        return Hold("", row.name, row.due_at or free_at, PACED) if free_at > self._now else None

    def _orders_of_late(self) -> Mapping[str, Sequence[int]]:
        """When orders were opened (epoch seconds), by name. Empty without the right to read the memory."""
        try:
            return self._memory.ordered()
        except FileError:
            return {}

    def _issued(self, row: Enrolment) -> tuple[int, ...]:
        """When certificates of *row* were issued (epoch seconds), as its attempt will count them. Empty for a
        change, and without the right to read the memory."""
        try:
            return () if row.changing else self._memory.past(row.name).issued
        except FileError:
            return ()


def _accounts(settings: Settings) -> dict[str, str]:
    """The account at each CA, by directory; "" if its key cannot be read: `status` works without that right."""
    # only where a hold exists: acme is slow to import
    from issuer.ca.account import account_id, load_account_key  # noqa: PLC0415

    found = {}
    for ca in settings.authorities:
        try:
            found[ca.directory] = account_id(ca.directory, load_account_key(settings.account_key(ca)))
        except ConfigError:
            found[ca.directory] = ""
    return found
