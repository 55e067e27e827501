"""The answers of a source of certificates, whatever database that is."""

from typing import Any, Self

from common.dataclasses import dataclass, field

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """The answer to the cheap question: two moments of a certificate's row, in epoch seconds, that change with it."""

    updated: int  # certs.ts_last_update
    expires: int  # certs.ts_expire
    disabled: bool = field(default=False, compare=False)  # certs.enable is N; the certificate is the same

    @classmethod
    def of_cells(cls, updated: Any, expires: Any, enable: Any = None) -> Self:
        """The mark in the cells of a row. A cell that holds no number counts as 0: it must not stop other rows.
        *enable* is missing where an account may not read it."""
        return cls(_number(updated), _number(expires), _octets(enable).upper() == b"N")

    @property
    def is_waiting(self) -> bool:
        """`populate` writes 1: the name is enrolled and the issuer has not obtained a certificate yet."""
        return self.updated <= 1


def _number(cell: Any) -> int:
    """0 too for one of more than 64 bits: no record of ours could be read that has it, and the host's memory of what it
    has taken before would be lost with it."""
    try:
        number = int(cell or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if abs(number) <= _LARGEST else 0


@dataclass(frozen=True, slots=True)
class Offer:
    """Leaf and chain in PEM, as the database holds them; *leaf_pem* is empty before the first issue. *went_back_to*:
    SHA-256 of the leaf that the database says was gone back to on purpose, "" for none. *statement*: as the issuer
    signed it, "" for none; None where the database has no such column."""

    leaf_pem: bytes
    chain_pem: bytes
    went_back_to: str = ""
    statement: str | None = None

    @classmethod
    def of_cells(cls, leaf: Any, chain: Any, *more: Any) -> Self:
        """The offer in the cells of ``agent.source.columns``, of which old tables lack the last ones. They hold text
        where another program wrote text."""
        return cls(_octets(leaf), _octets(chain), *(_octets(cell).decode(errors="replace") for cell in more))

    @property
    def content(self) -> bytes:
        """All of it: a certificate with another chain, or with another word of the issuer, is another offer."""
        return b"\0".join(
            (self.leaf_pem + self.chain_pem, *filter(None, map(_octets, (self.went_back_to, self.statement))))
        )


@dataclass(frozen=True, slots=True)
class Staged:
    """An *offer* that fits this host, kept until its certificate may be installed; *mark* was that of its row."""

    mark: Mark
    offer: Offer


def _octets(cell: Any) -> bytes:
    if isinstance(cell, str):
        return cell.encode(errors="replace")
    return bytes(cell) if isinstance(cell, bytes) else b""
