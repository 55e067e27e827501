"""How patient an issuer is where no setting says it. A test that cannot wait passes other values."""

from common.dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, but for the count. *quick_tries*: how many times a step is repeated at once without an answer: a blink
    of the network is no failure. *head_start*: for withdrawing what dead processes left, before a run issues.
    *sweep_seconds*: for all of that; the rest waits for the next time. *ca_seconds*: how long the CA may take before
    people hear of it. *lease_trusted*: the age (of 600 s) from which a lease is renewed before newOrder."""

    quick_tries: int = 3
    head_start: float = 2.0
    sweep_seconds: float = 60.0
    ca_seconds: int = 1800
    lease_trusted: int = 60
