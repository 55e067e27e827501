"""Seals as the commands make them: what an operator enrols is sealed with the row, and told in its history."""

import dataclasses
import os
import pwd
import socket
from collections.abc import Iterable

from common.clock import utc_text
from issuer.journey.sealed import require_seal
from issuer.model.config import Settings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.seal import Sealed
from issuer.rules.change import newest
from issuer.store.seals import Seal
from issuer.trust.seals import Seals


class Sealer:
    """Makes the seals of one command. Every method raises ConfigError without a usable seal key, and FileError."""

    def __init__(self, settings: Settings):
        self.seals = Seals(settings.state_dir)

    def enrolling(
        self, name: str, csr: CsrFacts, validation: Validation, now: int, *, change: bool = False, takeover: int = 0
    ) -> Seal:
        """The seal of a row, or of a *change*, that is to be. *takeover*: the moment from which on the change is
        ordered."""
        number = self.seals.number(name, now, change=change)
        content = Sealed.enrolling(name, csr.pem, csr, validation, number, takeover=takeover)
        return self._made(content, change=change)

    def of_row(self, row: Enrolment, now: int) -> Seal:
        """The seal of *row* as it is; of one that is changing, of its change."""
        content = Sealed.of(row, self.seals.number(row.name, now, change=row.changing))
        return self._made(content, change=row.changing)

    def importing(self, name: str, now: int) -> Seal:
        """The seal of a new row without a CSR, for a certificate from outside."""
        return self._made(Sealed.enrolling(name, b"", None, Validation(), self.seals.number(name, now), imported=True))

    def with_other(self, row: Enrolment, crt: bytes, now: int, *, imported: bool) -> list[Seal]:
        """The seals of *row* with another certificate, in PEM, and of its change: a takeover moves with the end of the
        certificate. A new seal must not cover what another program wrote: raises NotSealed for such a row, and leaves
        out such a change."""
        require_seal(row, self.seals)
        later = dataclasses.replace(row, imported=imported, crt=crt)
        waits = row.change is not None and not self.seals.faults(newest(row))
        return [self.of_row(each, now) for each in (later, *([newest(later)] if waits else []))]

    def remember(self, seals: Iterable[Seal]) -> None:
        """The database has them now."""
        self.seals.remember({seal.scope: seal.text for seal in seals})

    def _made(self, content: Sealed, *, change: bool = False) -> Seal:
        return Seal(content.name, self.seals.seal(content), f"by {_who()}: {told(content)}", change)


def told(content: Sealed) -> str:
    """The content of a seal, in words for people."""
    key = f"key {content.key}, for {', '.join(content.names)}" if content.key else "no usable CSR"
    later = f", ordered from {utc_text(content.takeover)} on" if content.takeover else ""
    return f"{key}{', imported' if content.imported else ''}{later}"


def _who() -> str:
    """The person, as far as this machine knows: who called sudo, else the user of this process."""
    try:
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
