"""The rows of the table beside what this issuer can prove of them: by their seals, by statements, by its own memory."""

from collections.abc import Callable, Collection, Iterator, Sequence

from common.chunks import chunks
from common.errors import CertfleetError, ConfigError
from common.revocation import Revocation
from common.terminal import PROGRESS
from issuer.check.revocation import Revocations, nobody_asked
from issuer.commands.wiring import build_looks
from issuer.journey.looks import planned_looks
from issuer.loops.audit import audit_due
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.errors import NotSealed, Unsigned, Vanished
from issuer.model.events import Event
from issuer.model.failure import Failure
from issuer.model.outcomes import Ended, Ending
from issuer.model.seal_faults import Fault
from issuer.model.strangers import Few, RowsFound
from issuer.rules.change import newest
from issuer.store.audits import Audits
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.orders import Orders
from issuer.store.seals import SealStore
from issuer.trust.presents import Presents
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements

_AT_ONCE = 500  # rows in one question
_REVOCATION_SECONDS = 60.0  # for which a run waits for lists and responders, all together, before it orders


class Rows:
    """One look at the rows. Every method raises ConfigError without a usable seal key, FileError, StoreError."""

    def __init__(self, settings: Settings, database: Database):
        self._settings, self._database = settings, database
        self.seals = Seals(settings.state_dir)
        self._certificates, self._store = Certificates(database), SealStore(database)
        self._audits, self._policy, self._asks = Audits(database), settings.renewal, settings.audit.revocation
        self._presents = _presents(settings, self.seals)

    def faults(self, row: Enrolment) -> list[Fault]:
        """The faults of the seals of *row* and of its change."""
        seen = [row] if row.change is None else [row, newest(row)]
        return list(dict.fromkeys(fault for one in seen for fault in self.seals.faults(one)))

    def is_stranger(self, row: Enrolment) -> bool:
        """Does no seal fit *row*, and did nobody enrol its name, as far as this issuer knows?"""
        return not self.seals.memory.newest(row.name) and bool(self.faults(row))  # a seal takes longer to prove

    def few(self) -> Few:
        """Lets all rows pass but strangers beyond the first few. Without a usable seal key nobody is one."""
        try:
            is_usable = bool(self.seals.key_id)
        except ConfigError:  # told by who looks at the rows that pass
            is_usable = False
        return Few(lambda row: is_usable and self.is_stranger(row))

    def due(self, now: int) -> list[Enrolment]:
        """Rows whose moment has come, by the database or by our own memory, rows that failed and wait, and rows whose
        order was left under way; of strangers a few."""
        few, under_way = self.few(), Orders(self._database, "").under_way(now)
        found = {row.name: row for row in self._certificates.due(now, few)}
        found |= {row.name: row for row in self._certificates.failing(now, few)}
        known = found.keys() | set(few.names)
        left = [record.name for record in under_way if record.name not in known]
        found |= {row.name: row for row in self._certificates.enrolled(left) if few(row)}
        known |= found.keys() | set(few.names)
        return [*found.values(), *planned_looks(build_looks(self._settings), self._certificates, known, now)]

    def is_unsigned(self, row: Enrolment) -> bool:
        """As in :class:`Presents`. False without a key to prove it by."""
        return self._presents is not None and self._presents.is_unsigned(row)

    def vanished(self, names: Collection[str]) -> list[str]:
        """Names that were sealed once, are not among *names*, those of the table, and were not removed by an issuer."""
        missed = sorted(self.seals.memory.names().difference(names))
        new = {row.name for some in chunks(missed, _AT_ONCE) for row in self._certificates.enrolled(some)}
        gone = [name for name in missed if name not in new]
        return [name for name in gone if not any(self.seals.bury(name, text) for text in self._store.tombstones(name))]

    def look(self) -> RowsFound:
        """Every row that is not as it should be. A disabled one is nobody's concern."""
        names: set[str] = set()
        suspects: list[str] = []
        few = Few(self.is_stranger)
        for portion in chunks(self._certificates.all(chains=False), _AT_ONCE):
            names.update(row.name for row in portion)
            PROGRESS.tell(f"{len(names)} rows looked at")
            with self.seals.memory.together():
                suspects += [row.name for row in portion if row.enabled and any(self._errors(row)) and few(row)]
        found: list[Ended] = []
        for some in chunks(suspects, _AT_ONCE):  # once more: a command may have been between two of its steps
            for row in self._certificates.enrolled(some):
                found += [_ended(row.name, *error) for error in self._errors(row) if row.enabled]
        found += [_ended(name, Ending.VANISHED, Vanished(name)) for name in self.vanished(names)]
        return RowsFound(found, few.names)

    def audit(self, tell: Callable[[Event], None], now: int) -> None:
        """Audit the certificates whose moment has come: what a new one cures makes its row due."""
        answers, count = Revocations(_REVOCATION_SECONDS, self.is_proven).of if self._asks else nobody_asked, 0

        def revocations(rows: Sequence[Enrolment], now: int) -> list[Revocation]:
            nonlocal count
            PROGRESS.tell(f"{count} certificates audited")
            count += len(rows)
            return answers(rows, now)

        ours, stranger = self.is_ours, self.is_stranger
        audit_due(
            self._audits, self._policy, now, tell=tell, is_ours=ours, revocations=revocations, is_stranger=stranger
        )

    def is_ours(self, row: Enrolment) -> bool:
        """Is it what an operator enrolled, with the certificate that was signed last?"""
        return not self.faults(row) and not self.is_unsigned(row)

    def doubt(self, row: Enrolment) -> CertfleetError | None:
        """Why nobody outside is asked about *row*: it is not what was enrolled, or its certificate is not proven to be
        the one that was signed last. None too without a usable seal key, which is told by who needs it."""
        try:
            error = next((error for _, error in self._errors(row)), None)
        except ConfigError:
            return None
        unproven = self._presents is not None and self._presents.is_unproven(row)
        return error or (Unsigned(row.name) if unproven else None)

    def is_proven(self, row: Enrolment) -> bool:
        """Is there no :meth:`doubt` about it?"""
        return self.doubt(row) is None

    def _errors(self, row: Enrolment) -> Iterator[tuple[Ending, CertfleetError]]:
        if faults := self.faults(row):
            yield Ending.UNSEALED, NotSealed(row.name, faults)
        elif self.is_unsigned(row):
            yield Ending.UNSIGNED, Unsigned(row.name)


def _ended(name: str, ending: Ending, error: CertfleetError) -> Ended:
    return Ended(name, ending, failure=Failure.of(error), by_itself=False)


def _presents(settings: Settings, seals: Seals) -> Presents | None:
    try:
        return Presents(seals.memory, Statements(settings.state_dir).key())
    except ConfigError:  # told by who signs
        return None
