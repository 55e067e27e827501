"""Which certificates wait for a moment that a CA named, told for `status` and `issue`."""

from common.clock import utc_text
from common.errors import ConfigError
from issuer.config import Settings
from issuer.limits import Hold
from issuer.model import Enrolment
from issuer.outlook import hold_on
from issuer.plan import authority_index, remaining


class HeldUp:
    """*holds* are those that have not passed at *now*."""

    def __init__(self, settings: Settings, holds: list[Hold], now: int):
        self._settings = settings
        self._holds = holds
        self._now = now
        self._accounts = _accounts(settings) if holds else {}

    def by(self, row: Enrolment) -> Hold | None:
        """The hold that the next attempt of *row* meets."""
        if not self._holds:
            return None
        authorities = self._settings.authorities
        ca = authorities[authority_index(row, len(authorities), remaining(row, self._now))]
        return hold_on(row, self._holds, self._accounts[ca.directory], self._now, self._settings.renewal)

    def sentence(self, hold: Hold) -> str:
        """Until when, by whom and why."""
        known = [directory for directory, account in self._accounts.items() if account == hold.account]
        return f"held until {utc_text(hold.until)} by {known[0] if known else 'the CA'}: {hold.reason}"


def _accounts(settings: Settings) -> dict[str, str]:
    """The account at each CA by directory; "" where the key cannot be read: who only looks need not be able to."""
    # acme is loaded where something is held, and not by every look at the list
    from issuer.ca.account import account_id, load_account_key  # noqa: PLC0415

    found = {}
    for ca in settings.authorities:
        try:
            found[ca.directory] = account_id(ca.directory, load_account_key(settings.account_key(ca)))
        except ConfigError:
            found[ca.directory] = ""
    return found
