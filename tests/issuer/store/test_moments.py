"""Saved moments: which can be meant, and what the legacy table holds before the first certificate."""

from functools import partial

import pytest
import sqlalchemy as sa

from common.certificate import parse_bundle
from issuer.model.moments import CLOCKS_APART, believable
from issuer.store import cells
from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.history import History
from issuer.store.tables import certs, has_certificate
from tests.issuer.store.opened import NAME, NOW
from tests.servers.authority import Authority

LONGEST = 3600


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (None, False),
        (0, False),
        (NOW - 1, False),
        (NOW, False),
        (NOW + 1, True),
        (NOW + LONGEST, True),
        (NOW + LONGEST + CLOCKS_APART, True),  # saved by a clock that was a little ahead
        (NOW + LONGEST + CLOCKS_APART + 1, False),
        (NOW + 20 * 365 * 86400, False),
    ],
)
def test_which_saved_moments_can_be_meant(store: Database, moment: int | None, *, expected: bool) -> None:
    """The rule and its condition in SQL say the same."""
    assert believable(moment, NOW, LONGEST) is expected
    store.write(lambda connection: connection.execute(certs.update().values(due_at=moment)))
    query = sa.select(certs.c.name).where(cells.believable(certs.c.due_at, NOW, LONGEST))
    assert list(store.read(lambda connection: list(connection.scalars(query)))) == [NAME] * expected


def test_before_the_first_certificate(store: Database) -> None:
    """What `populate` writes, and whatever else stands for "never", counts as no certificate for all who ask."""
    asked = sa.select(certs.c.name).where(has_certificate)
    assert store.read(lambda connection: list(connection.scalars(asked))) == []
    for cell, issued in ((None, False), (0, False), (-7, False), (2, True), (NOW, True)):
        change = certs.update().values(ts_expire=cell)
        store.write(partial(sa.Connection.execute, statement=change))
        assert store.read(lambda connection: list(connection.scalars(asked))) == [NAME] * issued
    store.write(lambda connection: connection.execute(certs.update().values(enable="Y")))
    assert DueQueries(store, "us").survey(NOW, stuck_after=1, most=9).soonest == ((NAME, NOW),)


def test_a_later_certificate_has_a_later_moment(store: Database) -> None:
    """Also of the same second, or by a clock that was set back: agents look whether it has changed. One that can only
    come from a wrong clock is left behind."""
    bundle = parse_bundle(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    moments = []
    for now in (NOW, NOW, NOW - 60, NOW + 5, NOW - 365 * 86400):
        History(store).take_in(NAME, bundle, "", "", now)
        moments.append(store.read(lambda connection: connection.scalar(sa.select(certs.c.ts_last_update))))
    assert moments == [NOW, NOW + 1, NOW + 2, NOW + 5, NOW - 365 * 86400]
