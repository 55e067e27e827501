"""Seals as the commands make them: what an operator enrols is sealed with the row, and told in its history."""

import dataclasses
import os
import pwd
import socket
from collections.abc import Collection, Mapping

from issuer.ground.chunks import chunks
from issuer.model.config import Settings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.errors import NotSealed, Vanished
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.seal import Sealed
from issuer.model.seal_faults import Fault
from issuer.rules.change import newest
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.seals import Seal, SealStore
from issuer.trust.seals import Seals

_AT_ONCE = 500  # rows in one question


class Sealer:
    """Makes the seals of one command. Every method raises ConfigError without a usable seal key, and FileError."""

    def __init__(self, settings: Settings):
        self.seals = Seals(settings.state_dir)

    def enrolling(self, name: str, csr: CsrFacts, validation: Validation, now: int) -> Seal:
        """The seal of a row, or of a change, that is to be."""
        return self._made(Sealed.enrolling(name, csr.pem, csr, validation, self.seals.number(name, now)))

    def of_row(self, row: Enrolment, now: int) -> Seal:
        """The seal of *row* as it is; of one that is changing, of its change."""
        return self._made(Sealed.of(row, self.seals.number(row.name, now)))

    def importing(self, name: str, row: Enrolment | None, now: int) -> Seal:
        """The seal of *row* once its certificate is one from outside; of a new row without a CSR for None. Raises
        NotSealed."""
        if row is not None:
            self.require(row)
            return self.of_row(dataclasses.replace(row, imported=True), now)
        number = self.seals.number(name, now)
        return self._made(Sealed.enrolling(name, b"", None, Validation(), number, imported=True))

    def require(self, row: Enrolment) -> None:
        """Raise NotSealed unless *row* is what was enrolled: a new seal must not cover what another program wrote."""
        faults = self.seals.faults(row)
        if faults:
            raise NotSealed(row.name, faults)

    def remember(self, seals: Mapping[str, Seal]) -> None:
        """The database has them now, by scope."""
        self.seals.remember({scope: seal.text for scope, seal in seals.items()})

    def _made(self, content: Sealed) -> Seal:
        return Seal(self.seals.seal(content), f"by {_who()}: {told(content)}")


def told(content: Sealed) -> str:
    """What a seal covers, for people."""
    key = f"key {content.key}, for {', '.join(content.names)}" if content.key else "no usable CSR"
    return f"{key}{', imported' if content.imported else ''}"


def _who() -> str:
    """The person, as far as this machine knows: who called sudo, else the user of this process."""
    try:
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def seal_faults(row: Enrolment, seals: Seals) -> list[Fault]:
    """What speaks against the seals of *row* and of its change. Raises ConfigError, FileError."""
    seen = [row] if row.change is None else [row, newest(row)]
    return list(dict.fromkeys(fault for one in seen for fault in seals.faults(one)))


def look_at_rows(seals: Seals, database: Database) -> list[Ended]:
    """The enabled rows that are not what was enrolled, and those that are gone. Raises ConfigError, FileError,
    StoreError."""
    certificates = Certificates(database)
    names: set[str] = set()
    suspects: list[str] = []
    found: list[Ended] = []
    for row in certificates.all(bare=True):
        names.add(row.name)
        if row.enabled and seal_faults(row, seals):
            suspects.append(row.name)
    for some in chunks(suspects, _AT_ONCE):  # once more: a command may have sealed a row between two of our steps
        for row in certificates.enrolled(some):
            if row.enabled and (faults := seal_faults(row, seals)):
                failure = Failure.of(NotSealed(row.name, faults))
                found.append(Ended(row.name, Ending.UNSEALED, failure=failure, by_itself=False))
    gone = vanished(seals, names, database)
    found += [Ended(name, Ending.VANISHED, failure=Failure.of(Vanished(name)), by_itself=False) for name in gone]
    return found


def vanished(seals: Seals, names: Collection[str], database: Database) -> list[str]:
    """Names that were sealed once, are not among *names*, those of the table, and were not removed by an issuer. Raises
    ConfigError, FileError, StoreError."""
    missed = sorted(seals.memory.names().difference(names))
    store, certificates = SealStore(database), Certificates(database)
    new = {row.name for some in chunks(missed, _AT_ONCE) for row in certificates.enrolled(some)}  # since the look
    gone = [name for name in missed if name not in new]
    return [name for name in gone if not any(seals.bury(name, text) for text in store.tombstones(name))]
