"""The daemon's view of the database between orders, as values. Pure; times in epoch seconds."""

from collections.abc import Mapping

from common.dataclasses import dataclass, field

DAY = 86400
EXPIRY_DAYS = (1, 3, 7, 14, 30, 60, 90)  # the bounds of the count by time left


@dataclass(frozen=True, slots=True)
class DueRow:
    """As much of a row that looks due as tells whether it changed since the last look."""

    name: str
    due_at: int | None
    failures: int
    reissue_reason: str

    @property
    def asked_for(self) -> bool:
        """Did somebody just ask for it by hand?"""
        return self.due_at is None and bool(self.reissue_reason)


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts for people and for Prometheus. Only enabled certificates count. *soonest* are the certificates that expire
    first, (name, moment). *expiring* counts those that expire within so many days, 0 for the expired ones. *holds* are
    those of the CA's limits, (scope, until)."""

    at: int
    enabled: int
    issued: int
    due: int
    failing: int
    stuck: int
    soonest: tuple[tuple[str, int], ...]
    expiring: Mapping[int, int] = field(default_factory=dict)
    orders: Mapping[str, int] = field(default_factory=dict)  # under way, by state
    holds: tuple[tuple[str, int], ...] = ()
