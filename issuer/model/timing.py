"""How patient an issuer is where no setting says it. A test that cannot wait takes other values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, where it is no count.

    *quick_tries*: how many times a step is repeated at once when no answer came: a blink of the network is no failure.
    *head_start*: for taking back what dead processes left, before a run issues. *ca_seconds*: for what is the CA's turn
    to do; it may take longer, but people hear of it. *lease_trusted*: how old a lease may be, of the 600 that it lasts,
    without being renewed before the CA is asked for an order.
    """

    quick_tries: int = 3
    head_start: float = 2.0
    ca_seconds: int = 1800
    lease_trusted: int = 60
