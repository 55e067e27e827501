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


def keys_of_certificates(database: Database, stored: Collection[str]) -> set[str]:
    """SHA-256 (hex) of the SubjectPublicKeyInfo of each certificate whose own SHA-256 is among *stored*. Raises
    StoreError."""
    cells = (cell for column in _CERTIFICATES for cell in _cells(database, column))
    return {key for cell in cells for key in _key(cell, stored)}


def seals(database: Database) -> Iterator[str]:
    """The seals of rows and of their changes. Raises StoreError."""
    for column in (certs.c.seal, certs.c.change_seal):
        yield from _cells(database, column)


def _cells(database: Database, column: "sa.Column[Any]") -> Iterator[Any]:
    """The cells that are not empty."""
    key = _ORDER[column.table.name]
    for rows in database.portions(sa.select(key, column).where(column.is_not(None)), key, _PORTION):
        yield from (row[1] for row in rows if row[1])


def _key(cell: bytes, stored: Collection[str]) -> Iterator[str]:
    try:
        leaves = load_certificates(cell)[:1]
        yield from (spki_sha256(one.public_key()) for one in leaves if fingerprint(one) in stored)
    except ValueError:
        return
