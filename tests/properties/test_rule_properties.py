"""Whatever the moments and counts are: the rules about when and how often keep what they promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.model.config import RenewalSettings
from issuer.model.limits import Limit
from issuer.model.orders import TRANSITIONS, OrderState, check_move
from issuer.rules.renewal import renewal_moment
from issuer.rules.retry import retry_moment

DAY = 86400


@given(st.lists(st.integers(0, 10_000)), st.integers(1, 5), st.integers(1, 1000), st.integers(0, 10_000))
def test_pacing_never_breaks_the_limit(moments: list[int], count: int, seconds: int, now: int) -> None:
    """At the moment that is named, fewer than *count* orders lie within the span before it."""
    past = [moment for moment in moments if moment <= now]
    free = Limit(count, seconds).free_at(past, now)
    assert free >= now
    assert sum(free - seconds < moment <= free for moment in past) < count


@given(st.text(max_size=30), st.integers(1, 400 * DAY), st.floats(0.01, 0.99), st.integers(0, 400))
def test_renewal_moment_lies_in_the_life(name: str, life: int, fraction: float, days_left: int) -> None:
    """Never before a tenth of the life has passed, never after its end, the same at each look, half of it below ten
    days at the latest."""
    policy = RenewalSettings(fraction_left=fraction, days_left=days_left)
    moment = renewal_moment(name, 1000, 1000 + life, policy)
    assert 1000 + life // 10 <= moment <= 1000 + life
    assert moment == renewal_moment(name, 1000, 1000 + life, policy)
    if life < 10 * DAY:
        assert moment <= 1000 + life - life // 2 + 1


@given(st.integers(1, 50), st.lists(st.integers(1, 90_000), min_size=1, max_size=6))
def test_retries_go_on_for_ever(failures: int, schedule: list[int]) -> None:
    """Every failure has a next attempt in the future."""
    assert retry_moment(failures, 5, tuple(schedule), None) > 5


@given(st.lists(st.sampled_from(list(OrderState)), max_size=12))
def test_no_sequence_leaves_the_table_of_states(wanted: list[OrderState]) -> None:
    """Whatever is asked for, an order is in a state that the table allows, and an ended one moves no more."""
    state = OrderState.PLANNED
    for following in wanted:
        if following in TRANSITIONS[state]:
            check_move(state, following)
            state = following
        else:
            with pytest.raises(RuntimeError):
                check_move(state, following)
