"""The issuer's own memory of moments, in the memory of the test."""


class MemoryLooks:
    """A Looks."""

    def __init__(self) -> None:
        self._moments: dict[str, int] = {}
        self._ends: dict[str, int] = {}

    def plan(self, name: str, moment: int | None, ends: int = 0) -> None:
        self._moments.pop(name, None)
        self._ends.pop(name, None)
        if moment is not None:
            self._moments[name] = moment
            self._ends |= {name: ends} if ends else {}

    def soonest(self, most: int) -> list[str]:
        return sorted(self._ends, key=lambda name: self._ends[name])[:most]

    def come(self, now: int, most: int) -> list[str]:
        come = sorted((moment, name) for name, moment in self._moments.items() if moment <= now)
        return [name for _, name in come[:most]]
