"""When is a certificate to be renewed: by our own rule, or by the CA's renewal information (RFC 9773)? Pure."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from issuer.model.acme import RenewalInfo
from issuer.model.config import RenewalSettings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged, Leaf
from issuer.model.orders import Cause, OrderRecord

_DAY = 86400
_SHORT_LIFE = 10 * _DAY
_JITTER = 0.02  # of the lifetime
_ASK_AGAIN = 6 * 3600  # seconds, where the CA names none
_SOONEST, LATEST = 60, 86400  # seconds between two questions for renewal information


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a certificate is to be renewed (epoch seconds), and by which rule."""

    at: int
    why: str


def renewal(row: Enrolment, starts: int, ends: int, policy: RenewalSettings) -> Renewal:
    """The CA's window if it told one, else the fraction that is left. ``days_left`` can only make either earlier."""
    rules, suggested = [_by_fraction(row.name, starts, ends, policy)], by_window(row, starts, ends)
    if suggested is not None:
        # near the end we renew whatever the CA says
        late = Renewal(ends - (ends - starts) // 20, "5 % of its lifetime left, whatever the CA says")
        rules = [suggested, late]
    return min([*rules, *_by_days(row.name, starts, ends, policy)], key=lambda renewal: renewal.at)


def by_window(row: Enrolment, starts: int, ends: int) -> Renewal | None:
    """The moment that the CA suggests (RFC 9773), None without one. A certificate that was itself ordered early because
    of a window lives for a tenth of its life first: a CA may say of every certificate that its window has passed."""
    if row.ari_at is None:
        return None
    why, soonest = "the window that the CA suggests (ARI)", starts + (ends - starts) // 10
    if row.early and row.ari_at < soonest:
        return Renewal(soonest, f"{why}, put off: the certificate before was replaced early for it too")
    return Renewal(row.ari_at, why)


def is_early(order: OrderRecord, replaced: Leaf | Damaged | None) -> bool:
    """Did a window of the CA have the order opened long before the moment of *replaced*: after its end, or with half of
    the life left?"""
    if order.cause is Cause.SUGGESTED and isinstance(replaced, Leaf):
        return order.created_at < replaced.halfway
    return order.cause is Cause.INCIDENT


def window_end(row: Enrolment) -> int:
    """The end of the window that the CA suggested (epoch seconds); 0 without one, which has passed."""
    return row.ari_window[1] if row.ari_window else 0


def renewal_moment(name: str, starts: int, ends: int, policy: RenewalSettings) -> int:
    """When to renew a certificate that lives from *starts* to *ends* by our own rule (all epoch seconds)."""
    rules = [_by_fraction(name, starts, ends, policy), *_by_days(name, starts, ends, policy)]
    return min(rule.at for rule in rules)


def first_look(
    name: str, starts: int, ends: int, policy: RenewalSettings, now: int, *, asks: bool
) -> tuple[int, int | None]:
    """When to look at a new certificate for the first time, and when to ask its CA for renewal information (RFC 9773);
    None for the latter unless the CA *asks* to be asked. All are epoch seconds."""
    due_at, ask_at = renewal_moment(name, starts, ends, policy), ask_again_at(None, now) if asks else None
    return (due_at if ask_at is None else min(due_at, ask_at)), ask_at


def _by_fraction(name: str, starts: int, ends: int, policy: RenewalSettings) -> Renewal:
    """The moment at which the fraction of the lifetime is left; at least half for lives below ten days."""
    life = max(1, ends - starts)
    fraction = max(policy.fraction_left, 0.5) if life < _SHORT_LIFE else policy.fraction_left
    why = f"{100 * fraction:.3g} % of its lifetime left (fraction_left)"
    return Renewal(_spread(name, starts, ends, ends - int(life * fraction)), why)


def _by_days(name: str, starts: int, ends: int, policy: RenewalSettings) -> list[Renewal]:
    days = policy.days_left
    return [Renewal(_spread(name, starts, ends, ends - days * _DAY), f"days_left = {days}")] if days else []


def _spread(name: str, starts: int, ends: int, moment: int) -> int:
    """*moment*, earlier by up to 2 % of the life, so that a fleet enrolled on one day is not renewed in one hour. The
    same certificate always gets the same jitter. A tenth of the life always passes first, or a short-lived certificate
    would be renewed at every run."""
    life = max(1, ends - starts)
    seed = int.from_bytes(hashlib.sha256(f"{name} {ends}".encode()).digest()[:4], "big") / 2**32
    return max(moment - int(life * _JITTER * seed), starts + life // 10)


@dataclass(frozen=True, slots=True)
class Remaining:
    """The rest of the present certificate's life: seconds, and the fraction of the whole."""

    seconds: int
    fraction: float

    @property
    def little(self) -> bool:
        """Less than an eighth: time to hurry."""
        return self.fraction < 1 / 8

    @property
    def before_little(self) -> int:
        """Seconds until then."""
        return self.seconds - int(self.seconds / self.fraction / 8) if self.fraction > 0 else 0


def remaining(row: Enrolment, now: int) -> Remaining | None:
    """The rest of the present certificate's life; None without a certificate that can be read."""
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return None
    left = leaf.ends - now
    return Remaining(left, left / max(1, leaf.ends - leaf.starts))


def renews(row: Enrolment, names: Sequence[str], directory: str) -> bool:
    """Did the CA with that directory issue the present certificate, for exactly these names?"""
    return row.directory == directory and isinstance(row.present, Leaf) and row.present.names == set(names)


def draw(row: Enrolment, info: RenewalInfo, now: int) -> Enrolment:
    """*row* with a moment drawn in the CA's window, the same at every look at the same window (RFC 9773 §4.2)."""
    drawn = row.ari_at
    if drawn is None or row.ari_window != (info.start, info.end):
        seed = hashlib.sha256(f"{row.name} {info.start}-{info.end}".encode()).digest()[:6]
        drawn = info.start + int((info.end - info.start) * (int.from_bytes(seed, "big") / 2**48))
    ask_at = ask_again_at(info.ask_again_at, now)
    return dataclasses.replace(row, ari_at=drawn, ari_window=(info.start, info.end), ari_ask_at=ask_at)


def ask_again_at(wanted: float | None, now: int) -> int:
    """When to ask again (epoch seconds): the CA's Retry-After within sane bounds, else in six hours."""
    return now + _ASK_AGAIN if wanted is None else min(max(int(wanted), now + _SOONEST), now + LATEST)


def is_overdue(row: Enrolment, now: int, policy: RenewalSettings) -> bool:
    """Has half of the time from its renewal to its end passed? Whatever moment the row holds, nobody renews it."""
    life = row.life if row.crt and not row.imported else None
    if life is None:
        return False
    moment = renewal(row, *life, policy).at
    return now > moment + (life[1] - moment) // 2
