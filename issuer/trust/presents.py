"""Is the present certificate of a row the last one that an issuer of ours has signed? This issuer's own memory keeps
what a statement has proven: so each is verified once, and an earlier one proves nothing any more.
"""

from common.issuer_key import issuer_key_id
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.trust.memory import Memory
from issuer.trust.statements import StatementKey


class Presents:
    """Thread-safe. *key*: the one that signs now."""

    def __init__(self, memory: Memory, key: StatementKey):
        self._memory = memory
        self._key = key
        self._id, *_ = self._ids = [issuer_key_id(each) for each in key.continued]

    def is_unsigned(self, row: Enrolment) -> bool:
        """Is the present certificate another one than the last that was signed, by this key or an earlier one? As long
        as no statement about that name was seen: does it stand there without any? One by a key that is not ours may be
        that of another issuer, which `check` tells. Raises FileError."""
        replaced = self._replaced(row)
        return bool(row.crt) and not row.statement if replaced is None else replaced

    def is_unproven(self, row: Enrolment) -> bool:
        """Does no statement of ours name the present certificate as the last one? False for a row without a
        certificate that never had one. Raises FileError."""
        replaced = self._replaced(row)
        return bool(row.crt) if replaced is None else replaced

    def is_replaced(self, row: Enrolment) -> bool:
        """As :meth:`is_unsigned`, but False as long as no statement about that name was seen. Raises FileError."""
        return bool(self._replaced(row))

    def _replaced(self, row: Enrolment) -> bool | None:
        """Was the certificate of *row* replaced? None as long as no statement about that name was seen."""
        last = self._memory.stated(row.name)
        if last is not None and row.fingerprint == last.sha256:
            return bool(row.crt) and not last.sha256  # "" after a removal, and where the certificate cannot be read
        statement = self._key.statement(row.statement) if row.statement else None
        if statement is None:
            return None if last is None else True
        if (statement.name, statement.sha256) != (row.name, row.fingerprint):
            return True
        if last is not None and last.key in self._ids and statement.sequence < last.sequence:
            return True
        starts = min(row.present.starts, statement.moment) if isinstance(row.present, Leaf) else 0
        self._memory.remember_stated(row.name, self._id, statement.sequence, statement.sha256, starts)
        return False
