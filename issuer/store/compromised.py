"""Compromised keys: a certificate was revoked with the reason keyCompromise (RFC 5280 §5.3.1).

Only ``versions`` says so, because it outlives the row of ``certs``.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from issuer.model.leaf import Leaf, leaf_of
from issuer.model.reasons import KEY_COMPROMISE
from issuer.store.tables import versions

# Each reading of rows asks whether there is any; only then a second question asks for names. The server never compares
# the names of the two tables: an adopted one may have another collation, and MySQL refuses that (error 1267).
ANY = sa.exists(sa.select(versions.c.id).where(versions.c.revoked == KEY_COMPROMISE)).label("any_compromised")
_REVOKED = sa.select(versions.c.name, versions.c.crt).where(
    versions.c.revoked == KEY_COMPROMISE, versions.c.name.in_(sa.bindparam("names", expanding=True))
)


def compromised_keys(connection: sa.Connection, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """SHA-256 of the compromised public keys of each of *names* that has any."""
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(_REVOKED, {"names": names}) if names else ():
        leaf = leaf_of(row.crt)
        if isinstance(leaf, Leaf):  # the key of a damaged certificate is lost
            found[row.name] = found.get(row.name, frozenset()) | {leaf.spki_sha256}
    return found
