"""Numbers for Prometheus, in a registry of their own. Only this file imports prometheus_client.

A fleet may have 100,000 certificates, and a scrape must stay cheap. Each attempt updates its numbers at once. The
numbers of certificates, orders and holds come from the last survey of the database. Each of the thousand certificates
that expire first has a series with its seconds to expiry. All certificates together have the minimum of these seconds,
and counts by time left.
"""

import sys
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from common.clock import Clock
from common.text import one_line
from issuer.loops.crew import Returned
from issuer.loops.health import Health
from issuer.model.hosts import HostState
from issuer.model.outcomes import Ending
from issuer.model.survey import DAY, Survey

MOST_CERTIFICATES = 1000
_MOST_REFERENCES = 60  # series for kinds of failure: a CA could invent new kinds without end
_DURATIONS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)  # seconds


class Metrics(Collector):
    """Thread-safe. *propagation* gives seconds by name server, as the solvers last measured them. It is itself the
    collector of the numbers of the last survey; each scrape computes the seconds that are left."""

    def __init__(self, version: str, health: Health, clock: Clock):
        disable_created_metrics()  # type: ignore[no-untyped-call] # else each counter has a second series
        self._health, self._clock = health, clock
        self._references: set[str] = set()
        self._registry = registry = CollectorRegistry()
        self._issued = Counter(
            "certfleet_certificates_issued", "Certificates stored by this process.", registry=registry
        )
        self._failed = Counter(
            "certfleet_attempts_failed", "Failed attempts by kind of failure.", ["reference"], registry=registry
        )
        self._held = Counter("certfleet_attempts_held", "Attempts that a limit of the CA put off.", registry=registry)
        self._duration = Histogram(
            "certfleet_order_duration_seconds",
            "Seconds from the first step of an attempt to the stored certificate, waits included.",
            buckets=_DURATIONS,
            registry=registry,
        )
        self._in_hand = Gauge(
            "certfleet_attempts_in_hand", "Attempts of this process, at work or waiting.", registry=registry
        )
        self._running = Gauge("certfleet_attempts_running", "Attempts that occupy a worker now.", registry=registry)
        self._reloads = Counter(
            "certfleet_configuration_reloads",
            "Times that SIGHUP or a changed file had everything built anew, by result.",
            ["result"],
            registry=registry,
        )
        for result in ("taken", "refused"):  # from the first scrape on: the increase of a new series is unknown
            self._reloads.labels(result)
        build = Info("certfleet_build", "Version of certfleet, and of Python, that is running.", registry=registry)
        build.info({"version": version, "python": ".".join(map(str, sys.version_info[:3]))})
        ProcessCollector(registry=registry)
        registry.register(self)
        self.survey: Survey | None = None
        self.propagation: Callable[[], Mapping[str, float]] = dict
        self.orders_left: Mapping[str, int] = {}
        self.hosts: Mapping[HostState, int] = {}
        self.strangers = 0

    def ended(self, returned: Returned) -> None:
        ending = returned.ended.ending
        if ending is Ending.STORED:
            self._issued.inc()
            self._duration.observe(returned.seconds)
        elif ending is Ending.FAILED:
            self.failed(returned.ended.reference)
        elif ending is Ending.HELD:
            self._held.inc()

    def failed(self, reference: str) -> None:
        """Count a failure by its kind, and by "other" when there are too many kinds."""
        if reference not in self._references and len(self._references) >= _MOST_REFERENCES:
            reference = "other"
        self._references.add(reference)
        self._failed.labels(one_line(reference) or "other").inc()

    def in_hand(self, attempts: int, running: int) -> None:
        self._in_hand.set(attempts)
        self._running.set(running)

    def reloaded(self, *, taken: bool) -> None:
        self._reloads.labels("taken" if taken else "refused").inc()

    def render(self, accept: str) -> tuple[str, bytes]:
        """(content type, body) in the form that the scraper asks for."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield _gauge("certfleet_healthy", "1 while /healthz answers 200.", not self._health.faults())
        yield _labelled(
            "certfleet_propagation_seconds",
            "Seconds from the last UPDATE until a name server showed the values.",
            "server",
            self.propagation(),
        )
        yield _labelled(
            "certfleet_orders_left",
            "New orders that a CA's published limit leaves now.",
            "directory",
            self.orders_left,
        )
        yield _labelled(
            "certfleet_hosts_not_well",
            "Reports of hosts that are not well, by how they are not.",
            "state",
            {state.value: self.hosts.get(state, 0) for state in HostState if not state.is_well},
        )
        yield _gauge("certfleet_rows_of_nobody", "Enabled rows that nobody enrolled.", self.strangers)
        if self.survey is not None:
            yield from _counts(self.survey)
            yield from _expiry(self.survey, self._clock())


def _counts(survey: Survey) -> Iterator[Metric]:
    yield _gauge("certfleet_survey_timestamp_seconds", "Moment at which the database was last counted.", survey.at)
    yield _gauge("certfleet_certificates", "Enabled certificates.", survey.enabled)
    yield _gauge("certfleet_certificates_issued_present", "Enabled certificates of which one is issued.", survey.issued)
    yield _gauge("certfleet_certificates_due", "Enabled certificates whose moment to be issued has come.", survey.due)
    yield _gauge("certfleet_certificates_failing", "Enabled certificates whose last attempt failed.", survey.failing)
    yield _gauge(
        "certfleet_certificates_stuck", "Enabled certificates that failed give_up_alarm times in a row.", survey.stuck
    )
    yield _labelled(
        "certfleet_orders_in_flight",
        "Orders under way, of every issuer on the database.",
        "state",
        dict(sorted(survey.orders.items())),
    )


def _expiry(survey: Survey, now: float) -> Iterator[Metric]:
    yield _labelled(
        "certfleet_certificate_expiry_seconds",
        f"Seconds until a certificate expires, for the {MOST_CERTIFICATES} that expire first.",
        "name",
        {name: moment - now for name, moment in survey.soonest},
    )
    if survey.soonest:
        least = survey.soonest[0][1] - now
        yield _gauge("certfleet_certificate_expiry_seconds_min", "Seconds until the first certificate expires.", least)
    yield _labelled(
        "certfleet_certificates_expiring",
        "Certificates that expire within so many seconds.",
        "within",
        {str(days * DAY): count for days, count in sorted(survey.expiring.items())},
    )
    yield _labelled(
        "certfleet_rate_limit_hold_seconds",
        "Seconds for which a limit of a CA holds up an account or one name.",
        "scope",
        {scope: max(0.0, until - now) for scope, until in survey.holds[:MOST_CERTIFICATES]},
    )
    yield _gauge(
        "certfleet_rate_limit_holds", "Limits of CAs that hold up an account or a name now.", len(survey.holds)
    )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """A series for each of *values*, by the value of its label. Prometheus' escaping leaves most control characters,
    and a reader may take them for line ends."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in {one_line(value): number for value, number in values.items()}.items():
        family.add_metric([value], number)
    return family
