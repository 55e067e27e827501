"""The issuer's own memory in its state folder: the newest seal of each scope that it has made or seen.

A scope is the name of a row, or that of its change (:func:`issuer.model.enrolment.change_scope`).
With it the issuer sees a row that comes back with an older seal, or not at all. It knows the newest statement of each
name too, every certificate that was stored, and what was revoked here. It holds nothing secret. Where it is lost,
it fills again as rows are looked at, but for what was revoked, replaced or ordered.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from common.chunks import chunks
from issuer.model.enrolment import change_scope
from issuer.rules.acceptance import Past
from issuer.trust.state_database import StateDatabase

MEMORY = "sealed.db"  # in the state folder
_TABLES = (
    """CREATE TABLE IF NOT EXISTS seals
  (scope TEXT PRIMARY KEY, number INTEGER NOT NULL, gone INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS stated
  (name TEXT PRIMARY KEY, key TEXT NOT NULL, sequence INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS signed
  (name TEXT PRIMARY KEY, key TEXT NOT NULL, sequence INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS stored
  (name TEXT, sha256 TEXT, starts INTEGER NOT NULL, PRIMARY KEY (name, sha256)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS ordered (name TEXT, moment INTEGER, PRIMARY KEY (name, moment)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS revoked (name TEXT, sha256 TEXT, PRIMARY KEY (name, sha256)) WITHOUT ROWID",
)
_ADD = """INSERT INTO seals VALUES (?, ?, ?)
  ON CONFLICT (scope) DO UPDATE SET number = excluded.number, gone = excluded.gone WHERE excluded.number > number"""

_NEWER = """ON CONFLICT (name) DO UPDATE SET key = excluded.key, sequence = excluded.sequence, sha256 = excluded.sha256
  WHERE excluded.key <> key OR excluded.sequence >= sequence"""
_STATE = f"INSERT INTO stated VALUES (?, ?, ?, ?) {_NEWER}"  # noqa: S608 - our own words
_STATE_SIGNED = f"INSERT INTO stated SELECT * FROM signed WHERE name = ? AND sha256 = ? {_NEWER}"  # noqa: S608
_BURY = "UPDATE stated SET sequence = MIN(sequence, 9223372036854775806) + 1, sha256 = '' WHERE name = ?"
_SIGN = "INSERT OR REPLACE INTO signed VALUES (?, ?, ?, ?)"
_GIVEN = "SELECT key, sequence FROM signed WHERE name = ? UNION SELECT key, sequence FROM stated WHERE name = ?"
_AT_ONCE = 500  # names in one question
_ORDERS_KEPT = 86400  # seconds: longer than any limit on the orders of one name
_STORE = "INSERT OR IGNORE INTO stored VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement: the id of the *key* that signed it, and the SHA-256 of its certificate; "" where the name was
    removed since. Sequences of one key are compared: after the loss of a key they begin anew."""

    key: str
    sequence: int
    sha256: str


class Memory:
    """Thread-safe. Every method raises FileError where the file cannot be used."""

    def __init__(self, file: Path):
        self._database = StateDatabase(file, *_TABLES)

    def newest(self, scope: str) -> int:
        """The highest number of *scope*; 0 for one that was never seen."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT number FROM seals WHERE scope = ?", (scope,)).fetchone()
            return int(found[0]) if found else 0

    def names(self) -> set[str]:
        """Every name that was sealed, and not removed since."""
        with self._database.reading() as connection:
            found = {scope for (scope,) in connection.execute("SELECT scope FROM seals WHERE NOT gone")}
            return {scope for scope in found if scope != change_scope(scope.rpartition("/")[2])}

    def remember(self, numbers: Mapping[str, int]) -> None:
        """Keep a number by scope where it is higher than the one before."""
        with self._database.writing() as connection:
            connection.executemany(_ADD, [(scope, number, False) for scope, number in numbers.items()])

    def bury(self, name: str, number: int) -> None:
        """*name* was removed by an issuer, whose tombstone has this *number*. Where it is enrolled again no certificate
        is missed, and none of those before counts: sequences go on beyond the last one."""
        with self._database.writing() as connection:
            connection.executemany(_ADD, [(scope, number, True) for scope in (name, change_scope(name))])
            connection.execute(_BURY, (name,))

    def stated(self, name: str) -> Stated | None:
        """The last statement of *name*, as far as this issuer knows; None for none."""
        query = "SELECT key, sequence, sha256 FROM stated WHERE name = ?"
        with self._database.reading() as connection:
            found = connection.execute(query, (name,)).fetchone()
            return Stated(*found) if found else None

    def last_stated(self, names: Collection[str]) -> dict[str, str]:
        """The SHA-256 of the certificate in the last statement of each of *names* that has one."""
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for some in chunks(sorted(names), _AT_ONCE):
                places = ", ".join("?" * len(some))
                query = f"SELECT name, sha256 FROM stated WHERE name IN ({places})"  # noqa: S608 - question marks
                found |= connection.execute(query, list(some)).fetchall()
        return found

    def has_stated(self) -> bool:
        """Was any statement ever signed or seen here?"""
        with self._database.reading() as connection:
            return (
                connection.execute("SELECT 1 FROM stated UNION ALL SELECT 1 FROM signed LIMIT 1").fetchone() is not None
            )

    def remember_stated(self, name: str, key: str, sequence: int, sha256: str, starts: int) -> None:
        """Keep the statement where its *sequence* is not lower than the one before, or another *key* signs now; and its
        certificate, as :meth:`remember_stored` does."""
        with self._database.writing() as connection:
            connection.execute(_STATE, (name, key, sequence, sha256))
            connection.execute(_STORE, (name, sha256, starts))

    def given(self, name: str, keys: Collection[str]) -> int:
        """The highest sequence of a statement of *name* by one of *keys* that was signed here or seen; 0 for none."""
        with self._database.reading() as connection:
            found = connection.execute(_GIVEN, (name, name)).fetchall()
            return max((number for key, number in found if key in keys), default=0)

    def remember_signed(self, name: str, key: str, sequence: int, sha256: str) -> None:
        """*key* signs a statement with this *sequence* for that certificate now, whether or not the database gets
        it."""
        with self._database.writing() as connection:
            connection.execute(_SIGN, (name, key, sequence, sha256))

    def past(self, name: str) -> Past:
        """The certificates of *name* that were stored or revoked, and its orders of the last day."""
        with self._database.reading() as connection:
            stored = dict(connection.execute("SELECT sha256, starts FROM stored WHERE name = ?", (name,)).fetchall())
            revoked = connection.execute("SELECT sha256 FROM revoked WHERE name = ?", (name,)).fetchall()
            ordered = connection.execute("SELECT moment FROM ordered WHERE name = ?", (name,)).fetchall()
        return Past(
            stored=frozenset(stored),
            revoked=frozenset(sha256 for (sha256,) in revoked),
            issued=tuple(stored.values()),
            ordered=tuple(int(moment) for (moment,) in ordered),
        )

    def remember_ordered(self, name: str, now: float) -> None:
        """Keep for a day that a CA was asked for an order for *name* at this moment (epoch seconds). Two may fall
        in one second, and each counts."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM ordered WHERE moment <= ?", (now - _ORDERS_KEPT,))
            connection.execute("INSERT OR IGNORE INTO ordered VALUES (?, ?)", (name, now))

    def ordered(self) -> dict[str, list[int]]:
        """The moments (epoch seconds) of the orders of the last day, by name."""
        with self._database.reading() as connection:
            found = defaultdict[str, list[int]](list)
            for name, moment in connection.execute("SELECT name, moment FROM ordered"):
                found[name].append(int(moment))
            return dict(found)

    def forget_ordered(self, names: Collection[str]) -> None:
        """A person lets orders for *names* be opened again."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM ordered WHERE name = ?", [(name,) for name in names])

    def remember_stored(self, name: str, sha256: str, starts: int) -> None:
        """Keep for ever that this certificate of *name* was stored, with the statement that was signed for it if there
        is one. *starts*: its notBefore (epoch seconds)."""
        with self._database.writing() as connection:
            connection.execute(_STORE, (name, sha256, starts))
            connection.execute(_STATE_SIGNED, (name, sha256))

    def certificates(self) -> set[str]:
        """SHA-256 of every certificate that was stored, of any name."""
        with self._database.reading() as connection:
            return {sha256 for (sha256,) in connection.execute("SELECT DISTINCT sha256 FROM stored")}

    def is_revoked(self, name: str, sha256: str) -> bool:
        """Was the certificate or the public key of *name* with this SHA-256 revoked here?"""
        query = "SELECT 1 FROM revoked WHERE name = ? AND sha256 = ?"
        with self._database.reading() as connection:
            return connection.execute(query, (name, sha256)).fetchone() is not None

    def remember_revoked(self, name: str, *sha256: str) -> None:
        """Keep them for ever."""
        with self._database.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO revoked VALUES (?, ?)", [(name, each) for each in sha256])

    def together(self) -> AbstractContextManager[object]:
        """Write all that the block remembers at its end, in one transaction: the first look at many rows remembers
        something of each. No other thread can use this memory meanwhile, so the block must end within a
        second or so."""
        return self._database.writing()
