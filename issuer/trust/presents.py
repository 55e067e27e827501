"""Is the present certificate of a row the last one that an issuer of ours has signed? This issuer's own memory keeps
what a statement has proven: so each is verified once, and an earlier one proves nothing any more.
"""

from issuer.model.enrolment import Enrolment
from issuer.rules.statements import Read
from issuer.trust.memory import Memory


class Presents:
    """Thread-safe. *read*: how our statements are read."""

    def __init__(self, memory: Memory, read: Read):
        self._memory = memory
        self._read = read

    def is_unsigned(self, row: Enrolment) -> bool:
        """Is the present certificate another one than the last that was signed? False as long as no statement about
        that name was seen. Raises FileError."""
        sequence, sha256 = self._memory.stated(row.name)
        if row.fingerprint == sha256:
            return False
        statement = self._read(row.statement) if row.statement else None
        if statement is None or (statement.name, statement.sha256) != (row.name, row.fingerprint):
            return sequence > 0
        if statement.sequence < sequence:
            return True
        self._memory.remember_stated(row.name, statement.sequence, statement.sha256)
        return False
