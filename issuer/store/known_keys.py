"""Every key that the database has ever had: of signing requests, of present and earlier certificates."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from common.certificate import PARSE_ERRORS, load_certificates, load_request, spki_sha256
from issuer.store.database import Database
from issuer.store.tables import certs, versions

_PORTION = 1000  # rows in memory at once
_CERTIFICATES = (certs.c.crt, certs.c.old_crt, versions.c.crt)
_REQUESTS = (certs.c.csr, certs.c.change_csr)
_ORDER = {certs.name: certs.c.name, versions.name: versions.c.id}


class KnownKeys:
    """Raises StoreError."""

    def __init__(self, database: Database):
        self._database = database

    def all(self) -> set[str]:
        """SHA-256 (hex) of the SubjectPublicKeyInfo of each. A cell that cannot be read has none."""
        found: set[str] = set()
        for column in _CERTIFICATES:
            found.update(key for cell in self._cells(column) for key in _of_certificate(cell))
        for column in _REQUESTS:
            found.update(key for cell in self._cells(column) for key in _of_request(cell))
        return found

    def seals(self) -> Iterator[str]:
        """The seals of rows and of their changes."""
        for column in (certs.c.seal, certs.c.change_seal):
            yield from map(str, self._cells(column))

    def _cells(self, column: "sa.Column[object]") -> Iterator[object]:
        """The cells that are not empty, portion by portion."""
        key = _ORDER[column.table.name]
        query: Any = sa.select(key, column).where(column.is_not(None)).order_by(key).limit(_PORTION)
        while rows := self._database.read(partial(_rows, query)):
            yield from (row[1] for row in rows if row[1])
            query = query.where(key > rows[-1][0])


def _rows(query: Any, connection: sa.Connection) -> Sequence[Any]:
    return connection.execute(query).all()


def _of_certificate(cell: object) -> Iterator[str]:
    try:
        yield from (spki_sha256(one.public_key()) for one in load_certificates(_bytes(cell))[:1])
    except ValueError:
        return


def _of_request(cell: object) -> Iterator[str]:
    try:
        yield spki_sha256(load_request(_bytes(cell)).public_key())
    except PARSE_ERRORS:
        return


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()
