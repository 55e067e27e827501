"""Names and marks of any size, in any number, in tables that others write: what is read of them has a bound."""

import tracemalloc

from issuer.model.limits import Limit
from issuer.store.counts import CountsAtOnce
from issuer.store.database import Database
from issuer.store.seals import SealStore
from issuer.store.tables import events, orders
from tests.issuer.store.opened import NAME, NOW

CA = "https://ca.example/directory"
MOST_OCTETS = 20_000_000


def test_an_order_for_a_name_without_end_costs_little(store: Database) -> None:
    """A name of 20,000 characters took 100 MB, one of 65,535 a gigabyte. It counts for its own set of names, and for no
    domain; a name of many labels beside it counts for the domain that it lies in."""
    huge, deep = ".".join("a" * 10_000), f"{'a.' * 80}www.example.test"
    values: dict[str, object] = {"name": NAME, "active_name": NAME, "state": "PLANNED", "directory": CA}
    values |= {"created_at": NOW, "updated_at": NOW}
    store.write(lambda connection: connection.execute(orders.insert(), {**values, "names": f"{huge} {deep}"}))
    counts, limit = CountsAtOnce(store), Limit(5, 86400)

    def counted(names: list[str], domain: str = "") -> int:
        return counts.certificates(CA, limit, NOW, besides=0, names=names, domain=domain)[1]

    tracemalloc.start()
    try:
        assert (counted([huge, deep]), counted([], "a.a"), counted([], "example.test")) == (1, 0, 1)
        assert tracemalloc.get_traced_memory()[1] < MOST_OCTETS
    finally:
        tracemalloc.stop()


def test_marks_of_removals_without_number_cost_little(store: Database) -> None:
    """Of those that nobody can have made none is read; the newest genuine one is."""
    long = [{"at": NOW, "name": NAME, "event": "removed", "detail": "x" * 60_000} for _ in range(1000)]
    mark = {"at": NOW, "name": NAME, "event": "removed", "detail": "a mark"}
    store.write(lambda connection: connection.execute(events.insert(), [mark, *long]))
    tracemalloc.start()
    try:
        assert SealStore(store).tombstones(NAME) == ["a mark"]
        assert tracemalloc.get_traced_memory()[1] < MOST_OCTETS
    finally:
        tracemalloc.stop()
