"""The answers of a source of certificates, whatever database that is."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Mark:
    """The answer to the cheap question: two moments of a certificate's row, in epoch seconds, that change with it."""

    updated: int  # certs.ts_last_update
    expires: int  # certs.ts_expire

    @classmethod
    def of_cells(cls, updated: Any, expires: Any) -> Self:
        """The mark in two cells of a row. A cell that holds no number counts as 0: it must not stop other rows."""
        return cls(_number(updated), _number(expires))

    @property
    def is_waiting(self) -> bool:
        """`populate` writes 1: the name is enrolled and the issuer has not obtained a certificate yet."""
        return self.updated <= 1


def _number(cell: Any) -> int:
    try:
        return int(cell or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


@dataclass(frozen=True, slots=True)
class Offer:
    """Leaf and chain in PEM, as the database holds them; *leaf_pem* is empty before the first issue."""

    leaf_pem: bytes
    chain_pem: bytes

    @classmethod
    def of_cells(cls, leaf: Any, chain: Any) -> Self:
        """The offer in two cells of a row, which hold text where another program wrote text."""
        return cls(*(cell.encode() if isinstance(cell, str) else bytes(cell or b"") for cell in (leaf, chain)))
