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
        self._id = issuer_key_id(key.public)

    def is_unsigned(self, row: Enrolment) -> bool:
        """Is the present certificate another one than the last that was signed, or was none ever signed? False for a
        row that has no certificate and never had one. Raises FileError."""
        sequence, sha256 = self._memory.stated(row.name, self._id)
        if row.fingerprint == sha256:
            return False
        statement = self._key.statement(row.statement) if row.statement else None
        if statement is None or (statement.name, statement.sha256) != (row.name, row.fingerprint):
            return bool(row.crt) or sequence > 0
        if statement.sequence < sequence:
            return True
        starts = min(row.present.starts, statement.moment) if isinstance(row.present, Leaf) else 0
        self._memory.remember_stated(row.name, self._id, statement.sequence, statement.sha256, starts)
        return False
