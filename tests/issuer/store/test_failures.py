"""A failure in its columns: the facts come back, unless something else was written beside them."""

import pytest
import sqlalchemy as sa

from issuer.model.failure import Failure
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from tests.issuer.store.opened import NAME, NOW

ALL = Failure("shop: rsa (new): refused", "no: (really)", "mend it; or not", "dns", "https://ca.test/why")


@pytest.mark.parametrize("failure", [ALL, Failure("what", reference="x"), Failure("w" * 3000, "y" * 3000, "h" * 3000)])
def test_facts_come_back(store: Database, failure: Failure) -> None:
    """Whatever stands in them; each is cut where its column ends."""
    Certificates(store).record_failure(NAME, failure, NOW + 60, NOW)
    [row] = Certificates(store).get([NAME])
    cut = Failure(failure.what[:2000], failure.why[:2000], failure.hint[:2000], failure.reference, failure.url)
    assert (row.failure, row.failing) == (cut, True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("by an old script", Failure("by an old script", reference="dns")),
        (None, None),
        ("", None),
    ],
)
def test_the_line_wins(store: Database, line: str | None, expected: Failure | None) -> None:
    """What an earlier version or a script writes into the one column that it knows is the failure."""
    Certificates(store).record_failure(NAME, ALL, NOW + 60, NOW)
    change = sa.text("UPDATE certs SET last_error = :line")
    store.write(lambda connection: connection.execute(change, {"line": line}))
    assert Certificates(store).get([NAME])[0].failure == expected
