"""Pacing inside a CA's published limits: what is counted, what is exempt, what is left."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from common.certificate import parse_bundle
from common.config_file import load
from issuer.commands.wiring import build_tools
from issuer.journey.begin import Preparation, open_within_limits
from issuer.journey.pacing import Pacing
from issuer.journey.ports import Tools
from issuer.model.config import CaSettings, DatabaseSettings, Settings
from issuer.model.enrolment import Validation
from issuer.model.limits import CaLimits, Limit, limits_of, parse_limit
from issuer.model.obtained import Obtained
from issuer.model.orders import Cause, OrderRecord, OrderState
from issuer.model.outcomes import Ending
from issuer.rules.csr import read_csr
from issuer.store.certificates import Certificates
from issuer.store.counts import Counts
from issuer.store.database import Database
from issuer.store.orders import Orders
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.store.opened import side_by_side
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy

CA = "https://ca.example/dir"
NOW = 1_000_000
HOUR, WEEK = 3600, 7 * 86400
ROOT = Authority("Root").intermediate("CA")
Issuer = Callable[..., "Issuing"]


class Issuing:
    """One issuer process as far as it opens orders at one CA: the real step, on a real database."""

    def __init__(self, tools: Tools, database: Database, limits: CaLimits, owner: str):
        pacing = {CA: Pacing(CA, limits, Counts(database))}
        self._orders = Orders(database, owner)
        self._certificates = Certificates(database)
        self.pacing = pacing[CA]
        self._tools = dataclasses.replace(tools, pacing=pacing, orders=self._orders)

    def open(self, names: Sequence[str], now: int = NOW, *, cause: Cause = Cause.FIRST, replaces: str = "") -> int:
        """*now* if an order was opened, else the moment until which it is held."""
        if not self._certificates.enrolled(names[:1]):
            self._certificates.enrol(names[0], read_csr(csr(names)), comment="", validation=Validation(), now=now)
        [row] = self._certificates.enrolled(names[:1])
        order = Preparation(row, read_csr(csr(names)), now, False, None, CA, cause, replaces)
        ended = open_within_limits(order, self._tools)
        assert (ended is None) == (order.record is not None)
        if ended is not None:
            assert ended.ending is Ending.HELD
            return ended.retry_at
        self.record = order.leased
        return now

    def order(self, names: Sequence[str], now: int = NOW) -> OrderRecord:
        """Opened, and known to the CA."""
        assert self.open(names, now) == now
        ordered = dataclasses.replace(self.record, state=OrderState.ORDERED, url=f"{CA}/{names[0]}/{now}")
        self.record = self._orders.save(self.record, ordered, now)
        return self.record

    def issue(self, names: Sequence[str], now: int = NOW) -> None:
        """Opened, and stored."""
        record = self.order(names, now)
        bundle = parse_bundle(ROOT.issue(list(names)).fullchain_pem)
        [row] = self._certificates.enrolled(names[:1])
        self._certificates.store(record, Obtained(row.csr, bundle, record.directory, now, None), now)

    def fail(self, now: int = NOW) -> None:
        self._orders.fail(self.record, "the CA is away", now)


@pytest.fixture
def issuer(lone_box: Box) -> Iterator[Issuer]:
    """Makes issuers on one database."""
    database = Database(DatabaseSettings(url=lone_box.database.url))
    tools = build_tools(load(Settings, lone_box.config), database)
    yield lambda limits, owner="me": Issuing(tools, database, limits, owner)
    database.close()


def test_new_orders_of_three_hours(issuer: Issuer) -> None:
    """The order that would be one too many waits until the oldest of the span has left it; one that replaces a
    certificate in its window of ARI neither waits nor counts."""
    me = issuer(CaLimits(new_orders=Limit(3, 3 * HOUR)))
    for hours in (4, 2, 1):
        me.issue([f"n{hours}.example.com"], NOW - hours * HOUR)
    assert me.pacing.left(NOW) == 1
    me.issue(["a.example.com"])
    assert me.pacing.left(NOW) == 0
    assert me.open(["b.example.com"]) == NOW + HOUR
    assert me.open(["c.example.com"], cause=Cause.SUGGESTED, replaces="identifier") == NOW
    assert me.open(["b.example.com"], NOW + HOUR) == NOW + HOUR


def test_a_limit_that_is_set_by_hand_holds_for_every_order(issuer: Issuer) -> None:
    """An order in the window of ARI waits and counts like any other."""
    ca = CaSettings(directory="https://acme-v02.api.letsencrypt.org/directory", limit_new_orders=parse_limit("1/1h"))
    me = issuer(ca.limits)
    assert me.open(["a.example.com"], cause=Cause.SUGGESTED, replaces="identifier") == NOW
    assert me.open(["b.example.com"], cause=Cause.INCIDENT, replaces="identifier") == NOW + HOUR
    assert me.open(["c.example.com"]) == NOW + HOUR


def test_held_orders_leave_nothing(issuer: Issuer) -> None:
    """An order that found no room is forgotten, and takes none."""
    me = issuer(CaLimits(new_orders=Limit(1, HOUR)))
    me.issue(["a.example.com"], NOW - 10)
    for number in range(3):
        assert me.open([f"n{number}.example.com"]) == NOW - 10 + HOUR
    assert me.open(["b.example.com"], NOW - 10 + HOUR) == NOW - 10 + HOUR


def test_what_came_to_nothing_holds_up_for_an_hour_at_most(issuer: Issuer) -> None:
    """An order under way takes the place of a certificate. It may fail, so there is another look within the hour; a
    failed one takes none."""
    me = issuer(CaLimits(per_domain=Limit(2, WEEK)))
    me.issue(["a.example.com"])
    me.order(["b.example.com"])
    assert me.open(["c.example.com"], NOW + 60) == NOW + 60 + HOUR
    me.issue(["d.example.net"])
    me.order(["e.example.net"])
    me.fail()
    assert me.open(["f.example.net"]) == NOW


def test_what_was_issued_holds_up_for_the_whole_span(issuer: Issuer) -> None:
    """As many certificates as a domain may have: the next one waits until the oldest is a week old."""
    me = issuer(CaLimits(per_domain=Limit(2, WEEK)))
    me.issue(["a.example.com"], NOW - HOUR)
    me.issue(["b.example.com"])
    assert me.open(["c.example.com"]) == NOW - HOUR + WEEK


def test_registered_domain_by_the_public_suffix_list(issuer: Issuer) -> None:
    """Names below one registered domain count together; those of another do not, also below a two-part suffix, and
    where the name of one ends like that of the other."""
    me = issuer(CaLimits(per_domain=Limit(2, WEEK)))
    me.issue(["a.example.co.uk"])
    me.issue(["*.b.example.co.uk", "www.other.net"])
    assert me.open(["c.example.co.uk"]) == NOW + WEEK
    assert me.open(["example.co.uk"]) == NOW + WEEK
    assert me.open(["c.other.co.uk"]) == NOW
    assert me.open(["c.anexample.co.uk"]) == NOW
    assert me.open(["another.net"]) == NOW
    me.issue(["other.net"])
    assert me.open(["more.other.net"]) == NOW + WEEK


def test_renewals_of_a_name_set_count_for_that_set_only(issuer: Issuer) -> None:
    """Where a CA exempts renewals from its general limits, they still count for exactly this set of names."""
    me = issuer(CaLimits(Limit(1, HOUR), Limit(1, HOUR), Limit(3, HOUR), renewals_exempt=True))
    names = ["b.example.com", "a.example.com"]
    for age in (30, 20, 10):
        assert me.pacing.left(NOW - age) == (1 if age == 30 else 0)
        me.issue(names, NOW - age)
    assert me.open(names) == NOW - 30 + HOUR
    assert me.open([*names, "c.example.com"][::-1]) > NOW


def test_the_same_names_under_way_for_another_certificate(issuer: Issuer) -> None:
    """An RSA and an ECDSA certificate are one set of names."""
    me = issuer(CaLimits(per_name_set=Limit(2, WEEK)))
    me.issue(["a.example.com", "b.example.com"])
    me.order(["b.example.com", "a.example.com"])
    assert me.pacing.free_at(["a.example.com", "b.example.com"], NOW, renewal=False) == NOW + HOUR
    assert me.pacing.free_at(["a.example.com"], NOW, renewal=False) == NOW


def test_a_clock_that_was_years_ahead(issuer: Issuer) -> None:
    """Orders that another issuer opened in the future hold up nothing, and hide none of the present."""
    me = issuer(CaLimits(new_orders=Limit(2, HOUR)))
    for age in (10, -100 * WEEK, -200 * WEEK, -300 * WEEK):
        me.issue([f"n{age}.example.com".replace("-", "m")], NOW - age)
    assert me.pacing.left(NOW) == 1
    me.issue(["a.example.com"])
    assert me.open(["b.example.com"]) == NOW - 10 + HOUR


def test_lets_encrypts_published_limits() -> None:
    """300 orders in 3 hours, 50 certificates a domain and 5 a name set in a week; none for a CA that is not known."""
    limits = limits_of("https://acme-v02.api.letsencrypt.org/directory")
    assert limits.new_orders == Limit(300, 3 * HOUR)
    assert limits.per_domain == Limit(50, 7 * 24 * HOUR)
    assert limits.per_name_set == Limit(5, 7 * 24 * HOUR)
    assert limits_of("https://ca.internal/dir") == CaLimits()


def test_two_issuers_share_a_limit(issuer: Issuer) -> None:
    """In turns, or one after the other: together they open as many orders as the CA takes, within one second too."""
    for hours, turns in enumerate(([0, 1] * 30, [0] * 5 + [1] * 30 + [0] * 30)):
        start = NOW + 2 * hours * HOUR
        issuers = [issuer(CaLimits(Limit(20, HOUR)), each) for each in "ab"]
        opened = [issuers[turn].open([f"n{n}.h{hours}.test"], start) == start for n, turn in enumerate(turns)]
        assert sum(opened) == 20


def test_workers_of_two_issuers_at_once_never_pass_a_limit(issuer: Issuer) -> None:
    """Sixteen threads want an order each, and there is room for ten: never more than ten get one, and of one issuer
    alone exactly ten."""
    limits = CaLimits(Limit(10, HOUR))
    for round_, owners in enumerate(("a", "ab")):
        start = NOW + 2 * round_ * HOUR
        issuers = [issuer(limits, owner) for owner in owners] * (16 // len(owners))
        wanted = [partial(each.open, [f"n{n}.r{start}.test"], start) for n, each in enumerate(issuers)]
        opened = side_by_side(*wanted).count(start)
        assert opened == 10 if owners == "a" else 1 <= opened <= 10, opened


def test_orders_that_came_to_nothing(issuer: Issuer) -> None:
    """What never reached the CA uses up nothing of what it allows."""
    me = issuer(CaLimits(Limit(3, HOUR)))
    for number in range(3):
        assert me.open([f"n{number}.test"]) == NOW
        me.fail()
    assert me.pacing.left(NOW) == 3


def test_names_without_a_zone_cost_nothing_of_what_the_ca_allows(proxied: Box, proxy: CaProxy) -> None:
    """Three that can never be validated do not hold up the fourth, in the same run."""
    proxied.write(acme={"limit_new_orders": "3/3h", "workers": 1})
    for number in range(3):
        proxied.populate(f"n{number}.nowhere.test")
    name = proxied.enrol("www.lab.test")
    proxied.database.execute(f"UPDATE certs SET ts_expire = 2 WHERE name = '{name}'")  # noqa: S608
    assert f"{name}: stored" in proxied.run("run").out
    assert len(proxy.paths("order-plz")) == 1


def test_an_address_counts_by_itself() -> None:
    """It lies in no registered domain."""
    asked = []

    class Counted:
        def orders(self, directory: str, limit: Limit, now: int, *, besides: int) -> list[int]:
            return []

        def certificates(
            self, directory: str, limit: Limit, now: int, *, besides: int, names: Sequence[str], domain: str
        ) -> tuple[list[int], int]:
            asked.append(domain)
            return [], 0

    pacing = Pacing(CA, CaLimits(per_domain=Limit(1, HOUR)), Counted())
    pacing.free_at(["192.0.2.7", "2001:db8::7", "www.example.co.uk"], NOW, renewal=False)
    assert sorted(asked) == ["192.0.2.7", "2001:db8::7", "example.co.uk"]
