"""The line of a monitoring plugin, as the plugin convention has it."""

import pytest

from common.nagios import Metric, State, line, worst


def test_the_line_of_a_plugin() -> None:
    """Service, state, text; behind a | the numbers, with units and ranges."""
    metrics = [Metric("days", 60.5, warning="10:", critical="0:"), Metric("handshake", 0.0125, "s")]
    said = line("probe", State.OK, "all is well", metrics)
    assert said == "PROBE OK - all is well | 'days'=60.5;10:;0: 'handshake'=0.0125s"
    assert line("audit", State.WARNING, "3 findings") == "AUDIT WARNING - 3 findings"


def test_foreign_text_ends_neither_line_nor_label() -> None:
    """No line end, no | in the text; no quote and no = in a label."""
    said = line("probe", State.CRITICAL, "it says | 'x'=0\nOK", [Metric("a='b|c\n", 1)])
    assert said == r"PROBE CRITICAL - it says / 'x'=0\nOK | 'a::b:c\n'=1"


@pytest.mark.parametrize(
    ("states", "decisive"),
    [
        ([], State.OK),
        ([State.OK, State.UNKNOWN], State.UNKNOWN),
        ([State.UNKNOWN, State.WARNING, State.OK], State.WARNING),
        ([State.UNKNOWN, State.WARNING, State.CRITICAL], State.CRITICAL),
    ],
)
def test_the_worst_decides(states: list[State], decisive: State) -> None:
    """What is known to be broken comes before what nobody knows."""
    assert worst(states) is decisive
