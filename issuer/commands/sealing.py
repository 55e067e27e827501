"""Seals as the commands make them: what an operator enrols is sealed with the row, and told in its history."""

import dataclasses
import os
import pwd
import socket
from collections.abc import Mapping

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
        return self._made(Sealed.enrolling(name, csr.pem, csr, validation, number, takeover=takeover))

    def of_row(self, row: Enrolment, now: int) -> Seal:
        """The seal of *row* as it is; of one that is changing, of its change."""
        return self._made(Sealed.of(row, self.seals.number(row.name, now, change=row.changing)))

    def importing(self, name: str, row: Enrolment | None, now: int) -> Seal:
        """The seal of *row* once its certificate is one from outside; of a new row without a CSR for None. Raises
        NotSealed: a new seal must not cover what another program wrote."""
        if row is not None:
            require_seal(row, self.seals)
            return self.of_row(dataclasses.replace(row, imported=True), now)
        number = self.seals.number(name, now)
        return self._made(Sealed.enrolling(name, b"", None, Validation(), number, imported=True))

    def waiting(self, row: Enrolment, later: Enrolment, now: int) -> Seal | None:
        """The seal of the change that waits in *row*, once that row is as *later*: a takeover moves with the end of the
        certificate. None without a change, and for one that another program wrote: a new seal must not cover it."""
        waits = row.change is not None and not self.seals.faults(newest(row))
        return self.of_row(newest(later), now) if waits else None

    def remember(self, seals: Mapping[str, Seal | None]) -> None:
        """The database has them now, by scope; None for none."""
        self.seals.remember({scope: seal.text for scope, seal in seals.items() if seal is not None})

    def _made(self, content: Sealed) -> Seal:
        return Seal(self.seals.seal(content), f"by {_who()}: {told(content)}")


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
