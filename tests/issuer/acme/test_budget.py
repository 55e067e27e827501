"""Pacing inside a CA's published limits: what is counted, what is exempt, what is left."""

import dataclasses
from collections.abc import Iterator, Sequence

import pytest

from issuer.journey.pacing import Budget
from issuer.model.config import DatabaseSettings
from issuer.model.failure import Failure
from issuer.model.limits import CaLimits, Issued, Limit, limits_of, names_digest
from issuer.model.orders import Cause, OrderState
from issuer.store.database import Database
from issuer.store.holds import Holds
from issuer.store.orders import Orders
from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy

CA = "https://ca.example/dir"
NOW = 1_000_000
HOUR = 3600


class Past:
    """What the database knows: orders and certificates of before."""

    def __init__(self, orders: Sequence[int] = (), certificates: Sequence[tuple[int, tuple[str, ...]]] = ()):
        self._orders = orders
        self._certificates = certificates

    def orders_since(self, directory: str, since: int) -> list[tuple[str, int]]:
        return [(f"n{moment}", moment) for moment in self._orders if moment > since]

    def certificates_since(self, directory: str, since: int) -> list[Issued]:
        return [Issued(f"n{at}", at, names, names_digest(names)) for at, names in self._certificates if at > since]

    def until(self, account: str, name: str, now: int, *, goes_on: bool = False) -> tuple[int, Failure] | None:
        return None

    def add(self, account: str, scope: str, until: int, failure: Failure, now: int) -> None:
        raise AssertionError("a budget adds no holds")


def test_new_orders_of_three_hours() -> None:
    """The order that would be one too many waits until the oldest of the span has left it."""
    limits = CaLimits(new_orders=Limit(3, 3 * HOUR))
    budget = Budget(CA, limits, Past([NOW - 2 * HOUR, NOW - HOUR, NOW - 4 * HOUR]))
    assert budget.left(NOW) == 1
    assert budget.take("a.example.com", ["a.example.com"], NOW, exempt=False, renewal=False) == NOW
    assert budget.left(NOW) == 0
    assert budget.take("b.example.com", ["b.example.com"], NOW, exempt=False, renewal=False) == NOW + HOUR
    assert budget.take("b.example.com", ["b.example.com"], NOW, exempt=True, renewal=False) == NOW
    assert budget.take("b.example.com", ["b.example.com"], NOW + HOUR, exempt=False, renewal=False) == NOW + HOUR


def test_what_came_to_nothing_holds_up_for_an_hour_at_most() -> None:
    """Wishes whose orders failed are no certificates: nobody waits a week for those."""
    limits = CaLimits(per_domain=Limit(2, 168 * HOUR))
    budget = Budget(CA, limits, Past())
    for name in ("a.example.com", "b.example.com"):
        assert budget.take(name, [name], NOW, exempt=False, renewal=False) == NOW
    free_at = budget.take("c.example.com", ["c.example.com"], NOW + 60, exempt=False, renewal=False)
    assert NOW + 60 < free_at <= NOW + HOUR + 1
    assert budget.take("c.example.com", ["c.example.com"], free_at, exempt=False, renewal=False) == free_at


def test_registered_domain_by_the_public_suffix_list() -> None:
    """Names below one registered domain count together; those of another do not, also below a two-part suffix."""
    limits = CaLimits(per_domain=Limit(2, HOUR))
    budget = Budget(CA, limits, Past())
    assert budget.take("a.example.co.uk", ["a.example.co.uk"], NOW, exempt=False, renewal=False) == NOW
    assert budget.take("*.b.example.co.uk", ["*.b.example.co.uk"], NOW, exempt=False, renewal=False) == NOW
    assert budget.take("c.example.co.uk", ["c.example.co.uk"], NOW, exempt=False, renewal=False) == NOW + HOUR
    assert budget.take("c.other.co.uk", ["c.other.co.uk"], NOW, exempt=False, renewal=False) == NOW


def test_renewals_of_a_name_set_count_for_that_set_only() -> None:
    """Where a CA exempts renewals from its general limits, they still count for exactly this set of names."""
    limits = CaLimits(Limit(1, HOUR), Limit(1, HOUR), Limit(3, HOUR), renewals_exempt=True)
    past = Past([NOW - 5], [(NOW - 5, ("a.example.com", "b.example.com"))])
    budget = Budget(CA, limits, past)
    assert budget.left(NOW) == 0
    names = ["b.example.com", "a.example.com"]
    assert budget.take("a", names, NOW, exempt=False, renewal=True) == NOW
    assert budget.take("a", names, NOW, exempt=False, renewal=True) == NOW
    assert budget.take("a", names, NOW, exempt=False, renewal=True) > NOW
    assert budget.take("c.example.com", ["c.example.com"], NOW, exempt=False, renewal=False) > NOW


def test_lets_encrypts_published_limits() -> None:
    """300 orders in 3 hours, 50 certificates a domain and 5 a name set in a week; none for a CA that is not known."""
    limits = limits_of("https://acme-v02.api.letsencrypt.org/directory")
    assert limits.new_orders == Limit(300, 3 * HOUR)
    assert limits.per_domain == Limit(50, 7 * 24 * HOUR)
    assert limits.per_name_set == Limit(5, 7 * 24 * HOUR)
    assert limits_of("https://ca.internal/dir") == CaLimits()


class Counted(Holds):
    """The real one, which tells how often it is asked."""

    asked = 0

    def orders_since(self, directory: str, since: int) -> list[tuple[str, int]]:
        self.asked += 1
        return super().orders_since(directory, since)


@pytest.fixture
def store(lone_box: Box) -> Iterator[Database]:
    database = Database(DatabaseSettings(url=lone_box.database.url))
    yield database
    database.close()


def opened(budget: Budget, orders: Orders, name: str, now: int = NOW) -> bool:
    """Ask the budget for an order, and open it if it may be; the CA knows it then."""
    if budget.take(name, [name], now, exempt=False, renewal=False) > now:
        return False
    planned = orders.open(name, CA, Cause.RENEWAL, now)
    assert planned is not None
    orders.save(planned, dataclasses.replace(planned, state=OrderState.ORDERED, url=f"{CA}/{name}"), now)
    return True


def test_two_issuers_share_a_limit(store: Database) -> None:
    """In turns, or one after the other: together they open as many orders as the CA takes, within one second too."""
    for turns in ([0, 1] * 30, [0] * 5 + [1] * 30 + [0] * 30):
        directory = f"{CA}/{len(turns)}"
        issuers = [(Budget(CA, CaLimits(Limit(20, HOUR)), Holds(store)), Orders(store, each)) for each in "ab"]
        start = NOW + len(turns) * HOUR
        assert sum(opened(*issuers[turn], f"{directory}/{n}", start) for n, turn in enumerate(turns)) == 20


def test_what_another_process_asked_for_in_the_same_second_counts_too() -> None:
    """Orders and certificates of others are never taken for those that this process is about to write."""
    limits = CaLimits(new_orders=Limit(7, HOUR))
    budget = Budget(CA, limits, Past([NOW] * 5))
    names = [f"n{NOW}", "b", "c"]  # the first one's certificate is that of an order before
    wanted = [budget.take(name, [f"{name}.test"], NOW, exempt=False, renewal=False) for name in names]
    assert wanted == [NOW, NOW, NOW + HOUR]
    budget = Budget(CA, CaLimits(per_domain=Limit(2, HOUR)), Past([], [(NOW, ("www.example.com",))]))
    names = [f"n{NOW}", "b"]
    wanted = [budget.take(name, [f"{name}.example.com"], NOW, exempt=False, renewal=False) for name in names]
    assert wanted == [NOW, NOW + HOUR]


def test_orders_that_came_to_nothing(store: Database) -> None:
    """What never reached the CA uses up nothing of what it allows."""
    orders, budget = Orders(store, "me"), Budget(CA, CaLimits(Limit(3, HOUR)), Holds(store))
    for number in range(3):
        assert budget.take(f"n{number}.test", [f"n{number}.test"], NOW, exempt=False, renewal=False) == NOW
        planned = orders.open(f"n{number}.test", CA, Cause.RENEWAL, NOW)
        assert planned is not None
        orders.fail(planned, "the CA is away", NOW)
    assert opened(budget, orders, "www.test", NOW + 10)


def test_an_ordinary_order_asks_the_database_nothing(store: Database) -> None:
    """A hundred orders of three hundred that a CA allows cost a few questions."""
    holds, orders = Counted(store), Orders(store, "me")
    budget = Budget(CA, CaLimits(Limit(300, 3 * HOUR)), holds)
    assert all(opened(budget, orders, f"n{number}.test", NOW + number // 50) for number in range(100))
    assert holds.asked <= 3


def test_names_without_a_zone_cost_nothing_of_what_the_ca_allows(proxied: Box, proxy: CaProxy) -> None:
    """Three that can never be validated do not hold up the fourth, in the same run."""
    proxied.write(acme={"limit_new_orders": "3/3h", "workers": 1})
    for number in range(3):
        proxied.populate(f"n{number}.nowhere.test")
    name = proxied.enrol("www.lab.test")
    proxied.database.execute(f"UPDATE certs SET ts_expire = 2 WHERE name = '{name}'")  # noqa: S608
    assert f"{name}: stored" in proxied.run("run").out
    assert len(proxy.paths("order-plz")) == 1
