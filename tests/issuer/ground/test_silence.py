"""How long a silent party is left alone, by a clock that the test sets."""

import pytest

from issuer.ground.silence import Silence


@pytest.mark.parametrize(
    ("seconds", "longest", "silences", "after", "left_alone"),
    [
        (5, 0, 0, 0, False),
        (5, 0, 1, 4.9, True),
        (5, 0, 1, 5, False),
        (5, 0, 4, 5, False),  # no doubling without a *longest*
        (5, 60, 2, 9.9, True),
        (5, 60, 2, 10, False),
        (5, 60, 9, 59.9, True),
        (5, 60, 9, 60, False),
    ],
)
def test_how_long(seconds: float, longest: float, silences: int, after: float, left_alone: bool) -> None:
    """After one silence for *seconds*, after each further one for twice as long, up to *longest*."""
    now = [0.0]
    silence: Silence[str, str] = Silence(seconds, longest, lambda: now[0])
    for number in range(silences):
        silence.begins("one", f"silence {number}")
    now[0] += after
    assert silence.of("one") == (f"silence {silences - 1}" if left_alone else None)
    assert silence.of("another") is None


def test_an_answer_ends_it() -> None:
    """At once; and the next silence counts from the beginning."""
    now = [0.0]
    silence: Silence[str, str] = Silence(5, 60, lambda: now[0])
    silence.begins("one", "no answer")
    silence.begins("one", "no answer")
    silence.ends("one")
    assert silence.of("one") is None
    silence.begins("one", "no answer")
    now[0] += 5
    assert silence.of("one") is None
