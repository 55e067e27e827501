"""The seals in the database, and the keys of its certificates. Anybody who may write there can add some, so only those
count that the issuer can prove to be its own."""

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from common.certificate import fingerprint, load_certificates, spki_sha256
from issuer.store.database import Database
from issuer.store.tables import certs, versions

_PORTION = 1000  # rows in memory at once
_CERTIFICATES = (certs.c.crt, certs.c.old_crt, versions.c.crt)
_ORDER = {certs.name: certs.c.name, versions.name: versions.c.id}


class KnownKeys:
    """Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def of_certificates(self, stored: Collection[str]) -> set[str]:
        """SHA-256 (hex) of the SubjectPublicKeyInfo of each certificate whose own SHA-256 is among *stored*."""
        cells = (cell for column in _CERTIFICATES for cell in self._cells(column))
        return {key for cell in cells for key in _key(cell, stored)}

    def seals(self) -> Iterator[str]:
        """The seals of rows and of their changes."""
        for column in (certs.c.seal, certs.c.change_seal):
            yield from self._cells(column)

    def _cells(self, column: "sa.Column[Any]") -> Iterator[Any]:
        """The cells that are not empty."""
        key = _ORDER[column.table.name]
        query = sa.select(key, column).where(column.is_not(None))
        for rows in self._database.portions(query, key, _PORTION):
            yield from (row[1] for row in rows if row[1])


def _key(cell: bytes, stored: Collection[str]) -> Iterator[str]:
    try:
        leaves = load_certificates(cell)[:1]
        yield from (spki_sha256(one.public_key()) for one in leaves if fingerprint(one) in stored)
    except ValueError:
        return
