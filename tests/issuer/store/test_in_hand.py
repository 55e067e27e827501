"""Is an order in a person's hands? Everybody who asks is told the same."""

import pytest
import sqlalchemy as sa

from common.errors import RefusedError
from issuer.model.moments import CLOCKS_APART
from issuer.model.orders import HAND_SECONDS, Cause, new_order
from issuer.store.certificates import refuse_under_way
from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.orders import Orders
from issuer.store.overview import Overview
from tests.issuer.store.opened import CA, NAME, NOW

_LATEST = NOW + HAND_SECONDS + CLOCKS_APART


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("cause", "deadline", "theirs"),
    [
        ("by hand", NOW + 1, True),
        ("by hand", _LATEST, True),
        ("by hand", NOW, False),
        ("by hand", _LATEST + 1, False),  # a clock was ahead
        ("by hand", None, False),
        ("renewal", NOW + 1, False),
        (None, NOW + 1, False),
    ],
)
def test_all_say_the_same(store: Database, cause: str | None, deadline: int | None, *, theirs: bool) -> None:
    """The record that `run` goes by, the pages of people, the questions of the daemon, and what refuses a command."""
    orders, lookout = Orders(store, "us"), DueQueries(store, "us")
    assert orders.open(new_order(NAME, CA, NOW, Cause.RENEWAL), []) is not None
    change = sa.text("UPDATE orders SET reason = :cause, deadline = :deadline")
    store.write(lambda connection: connection.execute(change, {"cause": cause, "deadline": deadline}))
    record = orders.claim(NAME, NOW)
    assert record is not None
    assert record.is_by_hand(NOW) is theirs
    assert list(Overview(store).by_hand(None, NOW)) == [NAME] * theirs
    store.write(lambda connection: connection.execute(sa.text("UPDATE certs SET enable = 'Y', due_at = NULL")))
    assert [mark.name for mark in lookout.left_over(NOW)] == [NAME] * (not theirs)
    assert lookout.survey(NOW, stuck_after=1, most=1).due == (not theirs)
    with pytest.raises(RefusedError) as refusal:
        store.read(lambda connection: refuse_under_way(connection, NAME, NOW))
    assert ("in a person's hands" in f"{refusal.value}") is theirs
