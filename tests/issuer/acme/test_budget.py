"""Pacing inside a CA's published limits: what is counted, what is exempt, what is left."""

from collections.abc import Sequence

from issuer.budget import Budget
from issuer.limits import CaLimits, Limit, limits_of, names_digest

NOW = 1_000_000
HOUR = 3600


class Past:
    """What the database knows: orders and certificates of before."""

    def __init__(self, orders: Sequence[int] = (), certificates: Sequence[tuple[int, tuple[str, ...]]] = ()):
        self._orders = orders
        self._certificates = certificates

    def orders_since(self, directory: str, since: int) -> list[int]:
        return [moment for moment in self._orders if moment > since]

    def certificates_since(self, directory: str, since: int) -> list[tuple[int, tuple[str, ...], str]]:
        return [(at, names, names_digest(names)) for at, names in self._certificates if at > since]

    def until(self, account: str, name: str, now: int) -> tuple[int, str] | None:
        return None

    def add(self, account: str, scope: str, until: int, reason: str, now: int) -> None:
        raise AssertionError("a budget adds no holds")


def test_new_orders_of_three_hours() -> None:
    """The order that would be one too many waits until the oldest of the span has left it."""
    limits = CaLimits(new_orders=Limit(3, 3 * HOUR))
    budget = Budget("https://ca.example/dir", limits, Past([NOW - 2 * HOUR, NOW - HOUR, NOW - 4 * HOUR]))
    assert budget.left(NOW) is None
    assert budget.take(["a.example.com"], NOW, exempt=False, renewal=False) == NOW
    assert budget.left(NOW) == 0
    assert budget.take(["b.example.com"], NOW, exempt=False, renewal=False) == NOW + HOUR
    assert budget.take(["b.example.com"], NOW, exempt=True, renewal=False) == NOW
    assert budget.take(["b.example.com"], NOW + HOUR, exempt=False, renewal=False) == NOW + HOUR


def test_registered_domain_by_the_public_suffix_list() -> None:
    """Names below one registered domain count together; those of another do not, also below a two-part suffix."""
    limits = CaLimits(per_domain=Limit(2, HOUR))
    budget = Budget("https://ca.example/dir", limits, Past())
    assert budget.take(["a.example.co.uk"], NOW, exempt=False, renewal=False) == NOW
    assert budget.take(["*.b.example.co.uk"], NOW, exempt=False, renewal=False) == NOW
    assert budget.take(["c.example.co.uk"], NOW, exempt=False, renewal=False) == NOW + HOUR
    assert budget.take(["c.other.co.uk"], NOW, exempt=False, renewal=False) == NOW


def test_renewals_of_a_name_set_count_for_that_set_only() -> None:
    """Where a CA exempts renewals from its general limits, they still count for exactly this set of names."""
    limits = CaLimits(Limit(1, HOUR), Limit(1, HOUR), Limit(3, HOUR), renewals_exempt=True)
    past = Past([NOW - 5], [(NOW - 5, ("a.example.com", "b.example.com"))])
    budget = Budget("https://ca.example/dir", limits, past)
    names = ["b.example.com", "a.example.com"]
    assert budget.take(names, NOW, exempt=False, renewal=True) == NOW
    assert budget.take(names, NOW, exempt=False, renewal=True) == NOW
    assert budget.take(names, NOW, exempt=False, renewal=True) > NOW
    assert budget.take(["c.example.com"], NOW, exempt=False, renewal=False) > NOW


def test_lets_encrypts_published_limits() -> None:
    """300 orders in 3 hours, 50 certificates a domain and 5 a name set in a week; none for a CA that is not known."""
    limits = limits_of("https://acme-v02.api.letsencrypt.org/directory")
    assert limits.new_orders == Limit(300, 3 * HOUR)
    assert limits.per_domain == Limit(50, 7 * 24 * HOUR)
    assert limits.per_name_set == Limit(5, 7 * 24 * HOUR)
    assert limits_of("https://ca.internal/dir") == CaLimits()
