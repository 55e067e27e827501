"""Announcements of CAs, with their dates. Pure data.

A line stays for a year after its date: somebody who looks only then has to hear of it too. Each
names where it was read.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from common.dataclasses import dataclass
from issuer.model.config import CaSettings

_BEFORE, _AFTER = 180, 365  # days
_CLASSIC = ("", "classic")


@dataclass(frozen=True, slots=True)
class Announced:
    """*host* is that of the directory; *profiles*: of which alone it is true, () for all. *ends*: nothing is issued
    there any more from that day on."""

    host: str
    day: date
    what: str
    hint: str
    source: str
    profiles: tuple[str, ...] = ()
    ends: bool = False


CALENDAR = (
    Announced(
        "api.buypass.com",
        date(2025, 10, 31),
        "Buypass has issued its last certificates by ACME; orders ended on 2025-10-15",
        "name another CA as [acme] directory, and look at CAA records and firewalls (`egress`) before",
        "www.buypass.com/products/tls-ssl-certificates/go-ssl",
        ends=True,
    ),
    Announced(
        "acme-v02.api.letsencrypt.org",
        date(2026, 7, 8),
        "certificates of Let's Encrypt are not for TLS clients any more (clientAuth), and the profile tlsclient ended",
        "let what logs in to others by its certificate have one of a CA of your own",
        "letsencrypt.org/docs/profiles",
    ),
    Announced(
        "acme-v02.api.letsencrypt.org",
        date(2027, 2, 10),
        "the profile classic gives 64 days in place of 90, and validations are good for 10 days in place of 30",
        "let `run` and the agents run daily, and name no days_left above 20",
        "letsencrypt.org/2025/12/02/from-90-to-45",
        profiles=_CLASSIC,
    ),
    Announced(
        "acme-v02.api.letsencrypt.org",
        date(2028, 2, 16),
        "the profile classic gives 45 days, and validations are good for 7 hours",
        "let `run` and the agents run daily, and name no days_left above 14",
        "letsencrypt.org/2025/12/02/from-90-to-45",
        profiles=_CLASSIC,
    ),
)


def announced(authorities: Sequence[CaSettings], now: float) -> list[Announced]:
    """The announcements of these CAs, from half a year before the day to a year after it; the end of a CA as long as it
    is configured."""
    today = datetime.fromtimestamp(now, UTC).date()
    asked = {(urlsplit(ca.directory).hostname or "", ca.profile) for ca in authorities}

    def concerns(one: Announced) -> bool:
        soon = -_BEFORE <= (today - one.day).days <= _AFTER
        ours = any(host == one.host and (not one.profiles or profile in one.profiles) for host, profile in asked)
        return ours and (soon or (one.ends and today >= one.day))

    return [one for one in CALENDAR if concerns(one)]
