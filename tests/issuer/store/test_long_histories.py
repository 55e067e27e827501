"""Somebody who writes to the database writes many certificates and events of one name."""

import sqlalchemy as sa

from issuer.store.database import Database
from issuer.store.history import MOST, History
from issuer.store.tables import events, versions
from tests.issuer.store.opened import CA, NAME, NOW


def test_a_reading_of_one_name_is_bounded(store: Database) -> None:
    """The newest are in memory, and the number of all is known."""
    history, many = History(store), range(MOST + 10)
    row = {"name": NAME, "issuer": "CA", "crt": b"", "ca": b"", "names": NAME, "directory": CA}
    moments = {"not_before": NOW, "not_after": NOW}
    rows = [{**row, **moments, "sha256": f"{n:064x}", "serial": f"{n:X}", "stored_at": NOW + n} for n in many]
    told = [{"name": NAME, "at": NOW + n, "event": "stored", "detail": ""} for n in many]

    def plant(connection: sa.Connection) -> None:
        connection.execute(versions.insert(), rows)
        connection.execute(events.insert(), told)

    store.write(plant)
    found = history.versions(NAME)
    assert (len(found), history.count(NAME), found[0].stored_at) == (MOST, MOST + 10, NOW + MOST + 9)
    assert (len(history.events(NAME)), len(history.events(NAME, 5))) == (MOST, 5)
