"""A clock that stands still until a test moves it."""

from dataclasses import dataclass

NOW = 1_800_000_000


@dataclass
class FakeClock:
    """Epoch seconds. Also the time by which the fakes around it act."""

    moment: float = NOW

    def __call__(self) -> float:
        return self.moment

    def wait_until(self, moment: float) -> None:
        """Let time pass; it never runs backwards."""
        self.moment = max(self.moment, moment)
