"""The account's name in the tables after a change of its key, on each kind of database."""

import sqlalchemy as sa

from issuer.model.failure import Failure
from issuer.store.database import Database
from issuer.store.holds import Holds, rename_account
from issuer.store.tables import certs
from tests.issuer.store.opened import NAME, NOW

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64


def test_certificates_and_holds_move_once(store: Database) -> None:
    """Also where a kill came between and both names have a hold of the same scope; other accounts keep theirs."""
    holds = Holds(store)

    def work(connection: sa.Connection) -> None:
        connection.execute(certs.update().values(account=OLD))

    store.write(work)
    for account, scope, seconds in ((OLD, "*", 100), (NEW, "*", 50), (OLD, NAME, 70), (OTHER, "*", 30)):
        holds.add(account, scope, NOW + seconds, Failure(f"until {seconds}"), NOW)
    for _ in range(2):
        rename_account(store, OLD, NEW)
        assert store.read(lambda connection: connection.scalars(sa.select(certs.c.account)).all()) == [NEW]
        found = {(each.account, each.scope): each.until - NOW for each in holds.all(NOW)}
        assert found == {(NEW, "*"): 100, (NEW, NAME): 70, (OTHER, "*"): 30}
