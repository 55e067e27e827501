"""Certificates with the same names take turns; no turn is kept by who has ended."""

from types import SimpleNamespace
from typing import Any

import pytest

from issuer.journey.attempt import Attempt
from issuer.journey.turns import Turns
from issuer.model.outcomes import Ended, Ending, Waiting

NAMES = ["mx.example.test", "mail.example.test"]


class Acting(Attempt):
    """Takes its turn, then ends as it is told."""

    def __init__(self, tools: Any, outcome: Ended | Waiting | Exception):
        super().__init__(SimpleNamespace(name="rsa"), tools, stopping=lambda: False)  # type: ignore[arg-type]
        self._outcome = outcome

    def _proceed(self) -> Ended | Waiting:
        assert self._tools.turns.take(NAMES, self.name)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def test_who_ends_gives_the_turn_back_and_who_waits_keeps_it() -> None:
    """However it ends, by a fault of ours too; the order of the names does not matter."""
    tools = SimpleNamespace(turns=Turns())
    Acting(tools, Waiting("rsa", 0.0)).proceed()
    assert not tools.turns.take(reversed(NAMES), "ecdsa")
    Acting(tools, Ended("rsa", Ending.STORED)).proceed()
    assert tools.turns.take(NAMES, "ecdsa")
    tools.turns.leave("ecdsa")
    with pytest.raises(RuntimeError):
        Acting(tools, RuntimeError("a fault")).proceed()
    assert tools.turns.take(NAMES, "ecdsa")
