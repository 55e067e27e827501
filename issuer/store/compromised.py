"""Keys that others know, by name: a certificate was revoked for its key (RFC 5280 §5.3.1, keyCompromise).

That stands in ``versions`` alone, which outlives the row: whoever makes or changes one finds it there.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from issuer.model.leaf import Leaf, leaf_of
from issuer.store.tables import versions

KEY_COMPROMISE = 1
# A column of every look at rows: mostly there are none, and who has some is asked for by name. The names of the two
# tables are never compared by the server: an adopted one may have another collation, and it refuses that (error 1267).
ANY = sa.exists(sa.select(versions.c.id).where(versions.c.revoked == KEY_COMPROMISE)).label("any_compromised")
_REVOKED = sa.select(versions.c.name, versions.c.crt).where(
    versions.c.revoked == KEY_COMPROMISE, versions.c.name.in_(sa.bindparam("names", expanding=True))
)


def compromised_keys(connection: sa.Connection, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """SHA-256 of the public keys, for those of *names* that have such ones."""
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(_REVOKED, {"names": names}) if names else ():
        leaf = leaf_of(row.crt)
        if isinstance(leaf, Leaf):  # which key a damaged one had cannot be told any more
            found[row.name] = found.get(row.name, frozenset()) | {leaf.spki_sha256}
    return found
