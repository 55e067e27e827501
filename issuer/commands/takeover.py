"""import --takeover-at: a CSR waits beside an imported certificate, and is ordered when nobody brings a newer one."""

import argparse
import time
from pathlib import Path

from common.certificate import Bundle, spki_sha256
from common.errors import RefusedError, UsageError
from issuer.commands.enrolment import read_request, refuse_other_name
from issuer.commands.sealing import Sealer
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment, Validation
from issuer.rules.change import Outcome, outcome_of
from issuer.store.certificates import Certificates
from issuer.store.changes import Changes, Replacement
from issuer.store.database import Database


class Takeover:
    """The CSR of a takeover, judged before anything is stored. Raises RefusedError, UsageError."""

    def __init__(
        self, settings: Settings, arguments: argparse.Namespace, name: str, row: Enrolment | None, bundle: Bundle
    ):
        """*row*: what is enrolled for *name*; *bundle*: the certificate that is imported."""
        self._settings, self._name, self._seconds = settings, name, arguments.takeover_at
        self._csr, origin = read_request(Path(arguments.csr) if arguments.csr else settings.csr_dir / f"{name}.csr")
        if not arguments.label:
            refuse_other_name(name, self._csr, origin)
        if self._csr.spki_sha256 != spki_sha256(bundle.leaf.public_key()):
            hint = "make a CSR with the key that the host has: it goes on with that key"
            raise RefusedError(f"the CSR in {origin} has another key than the certificate", hint=hint)
        if row is not None and row.csr and outcome_of(row, self._csr) is not Outcome.WAITS:
            hint = "`remove` it first, then import it anew"
            raise UsageError(f"{name} was enrolled with this CSR, so it cannot wait beside itself", hint=hint)

    def enrol(self, database: Database) -> None:
        """Let the CSR wait; one that waited before is forgotten. The certificate is in the table already."""
        sealer, now = Sealer(self._settings), int(time.time())
        [row] = Certificates(database).get([self._name])
        validation = row.validation if row.csr else Validation()
        at = row.own_end - self._seconds
        seal = sealer.enrolling(self._name, self._csr, validation, now, change=True, takeover=at)
        by = Replacement(self._csr, validation, seal, takeover=self._seconds)
        sealer.remember(Changes(database).replace(self._name, by, now)[1])
