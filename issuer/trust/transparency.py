"""The issuer's memory of Certificate Transparency, in its state folder: how far it has read, and what it found.

It holds nothing secret. Where it is lost, logs are read from their present end on, and what is found is told again.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from issuer.model.transparency import Sighting
from issuer.trust.state_database import StateDatabase

TRANSPARENCY = "transparency.db"  # in the state folder
_TABLES = (
    "CREATE TABLE IF NOT EXISTS logs (url TEXT PRIMARY KEY, tree TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS asked (url TEXT, number INTEGER, PRIMARY KEY (url, number)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS accepted (spki TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS sightings (spki TEXT, issuer TEXT, serial TEXT, ours TEXT NOT NULL,
  names TEXT NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL, place TEXT NOT NULL, told INTEGER NOT NULL,
  PRIMARY KEY (spki, issuer, serial)) WITHOUT ROWID""",
)
_SEEN = "SELECT ours, names, spki, serial, issuer, starts, ends, place FROM sightings WHERE ends > ?"


class TransparencyMemory:
    """Every method raises FileError where the file cannot be used."""

    def __init__(self, file: Path):
        self._database = StateDatabase(file, *_TABLES)

    def tree(self, url: str) -> str:
        """How far the log was read; "" for one that never was."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT tree FROM logs WHERE url = ?", (url,)).fetchone()
            return str(found[0]) if found else ""

    def asked(self, url: str) -> set[int]:
        """The numbers that a search has shown."""
        with self._database.reading() as connection:
            return {number for (number,) in connection.execute("SELECT number FROM asked WHERE url = ?", (url,))}

    def read_log(self, url: str, tree: str, found: Iterable[Sighting]) -> None:
        """The log was read so far, and showed that."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO logs VALUES (?, ?)", (url, tree))
            _add(connection, found)

    def read_search(self, url: str, numbers: Iterable[int], found: Iterable[Sighting]) -> None:
        """A search has shown these, of which *found* concern us."""
        with self._database.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO asked VALUES (?, ?)", [(url, one) for one in numbers])
            _add(connection, found)

    def accept(self, keys: Iterable[str]) -> None:
        """These keys (SHA-256 of the SubjectPublicKeyInfo, hex) are known to a person."""
        with self._database.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO accepted VALUES (?)", [(one,) for one in keys])

    def accepted(self) -> set[str]:
        with self._database.reading() as connection:
            return {spki for (spki,) in connection.execute("SELECT spki FROM accepted")}

    def sightings(self, now: int) -> list[Sighting]:
        """The findings whose certificates have not ended."""
        with self._database.reading() as connection:
            return [
                Sighting(tuple(ours.split()), tuple(names.split()), *rest)
                for ours, names, *rest in connection.execute(_SEEN, (now,))
            ]

    def untold(self, found: Iterable[Sighting]) -> list[Sighting]:
        """The sightings in *found* that people were not told of."""
        query = "SELECT spki, issuer, serial FROM sightings WHERE told"
        with self._database.reading() as connection:
            told = {tuple(row) for row in connection.execute(query)}
        return [one for one in found if one.identity not in told]

    def told(self, found: Iterable[Sighting]) -> None:
        """People were told of these."""
        update = "UPDATE sightings SET told = 1 WHERE spki = ? AND issuer = ? AND serial = ?"
        with self._database.writing() as connection:
            connection.executemany(update, [one.identity for one in found])

    def close(self) -> None:
        self._database.close()


def _add(connection: sqlite3.Connection, found: Iterable[Sighting]) -> None:
    rows = [(*one.identity, " ".join(one.ours), " ".join(one.names), one.starts, one.ends, one.where) for one in found]
    connection.executemany("INSERT OR IGNORE INTO sightings VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", rows)
