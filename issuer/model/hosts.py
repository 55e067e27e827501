"""Reports of hosts about the certificates that they serve, as values. Pure. Times are epoch seconds."""

from dataclasses import dataclass
from enum import Enum


class HostState(Enum):
    """How a host stands with a certificate, the worst first."""

    EXPIRED = "expired"  # it serves an expired one
    NOT_WELL = "not well"  # its agent says so, and why
    SILENT = "silent"  # its agent has not reported for too long
    BEHIND = "behind"  # it serves another one than the present one, for too long
    WAITING = "waiting"  # for its agent's next run, or for the first certificate
    NOT_PROVABLE = "not provable"  # the present one is in place, and no socket can show it
    CURRENT = "current"

    @property
    def is_well(self) -> bool:
        return self in _WELL


FAULTS = {  # of a host, for people
    HostState.EXPIRED: "serves an expired certificate",
    HostState.NOT_WELL: "is not well, says its agent",
    HostState.SILENT: "has not reported for too long",
    HostState.BEHIND: "serves another certificate than the present one",
}
LOOK_THERE = "look there with `certfleet-agent status` and `certfleet-agent check`, and whether its timer runs"
_WELL = (HostState.WAITING, HostState.NOT_PROVABLE, HostState.CURRENT)


ReportKey = tuple[str, str, str]
"""Name of the certificate, host, account."""


@dataclass(frozen=True, slots=True)
class Report:
    """The last report of one host's agent about one certificate, written by one account. Nothing in it is to be
    trusted. *gone*: the table has lost it, and only its key and its moment are known."""

    name: str
    host: str
    account: str
    sha256: str
    not_after: int
    state: str
    reported_at: int
    gone: bool = False

    @property
    def key(self) -> ReportKey:
        return self.name, self.host, self.account


@dataclass(frozen=True, slots=True)
class Heard:
    """The memory of a report: its own moment, and the moment at which that one was *seen* first; and the SHA-256 of the
    certificate that it named when it was last *settled*: it served the present one. None as long as it did not."""

    reported: int
    seen: int
    settled: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the host of a *report* stands, and *since* when; 0 where that is not known. *bad*: it is not well, and that
    concerns people: it was there lately, and its certificate is to be kept fresh."""

    report: Report
    state: HostState
    since: int = 0
    bad: bool = False
