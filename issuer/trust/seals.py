"""Makes seals and proves them: HMAC-SHA-256 (RFC 2104) with a key that stands in the state folder and nowhere else.

A seal is a line "KEY MAC CONTENT". KEY names the seal key, so that a copy that is missing on another issuer is told
from a forgery. MAC is over CONTENT.
"""

import functools
import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from common.certificate import Bundle, fingerprint, not_before
from common.errors import ConfigError, Finding
from common.files import create_new, read_secret
from issuer.model.enrolment import Enrolment, change_scope
from issuer.model.orders import Cause, OrderRecord
from issuer.model.seal import Sealed
from issuer.model.seal_faults import Fault
from issuer.model.unapproved import Unapproved
from issuer.rules.acceptance import Past
from issuer.rules.seal import faults
from issuer.trust.memory import MEMORY, Memory

_KEY_BYTES = 32
_REMOVED = "removed"  # in the place of the ways of validation
_HINT = "restore it from the backup, or copy it from the other issuer; if it is lost: `certfleet-issuer adopt --all`"


def key_file(state_dir: Path) -> Path:
    """The place of the key of the seals."""
    return state_dir / "seal.key"


def create_key(file: Path) -> None:
    """A new key, mode 0600. Raises FileError if *file* exists."""
    create_new(file, f"{secrets.token_hex(_KEY_BYTES)}\n".encode(), mode=0o600)


def load_key(file: Path) -> bytes:
    """The key in *file*. Raises ConfigError where the file is missing, open to others, or holds no key."""
    try:
        key = bytes.fromhex(read_secret(file).decode("ascii").strip())
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ConfigError(str(file), [Finding("", "there is no seal key")], hint=_HINT) from error
        raise
    except ValueError as error:
        raise ConfigError(str(file), [Finding("", "is no seal key")], hint=_HINT) from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(str(file), [Finding("", f"is no key of {_KEY_BYTES} octets")], hint=_HINT)
    return key


class Seals:
    """The :class:`issuer.journey.ports.Seals` of one issuer, with what its commands need. Thread-safe. The key is read
    at the first use: each method may raise ConfigError, and FileError for the memory."""

    def __init__(self, state_dir: Path):
        self._file = key_file(state_dir)
        self.memory = Memory(state_dir / MEMORY)

    @functools.cached_property
    def _key(self) -> bytes:
        return load_key(self._file)

    @functools.cached_property
    def key_id(self) -> str:
        """Names the key without telling it."""
        return hmac.digest(self._key, b"certfleet seal key", "sha256").hex()[:8]

    def number(self, name: str, now: int, *, change: bool = False) -> int:
        """The number of the next seal of *name*, or of its *change*. That is higher than a seal of the row which is
        made with it: once the change is taken, what it replaced is older."""
        return max(now, 1 + max(map(self.memory.newest, (name, change_scope(name))))) + change

    def seal(self, content: Sealed | Unapproved) -> str:
        """The seal of *content*. Call :meth:`remember` with that of a row once the database has it."""
        return f"{self.key_id} {self._mac(content.text)} {content.text}"

    def remember(self, seals: Mapping[str, str]) -> None:
        """The database has these *seals*, made by us, by scope."""
        self.memory.remember({scope: _number(seal) for scope, seal in seals.items()})

    def taken(self, row: Enrolment) -> None:
        number = _number(row.seal)
        self.memory.remember({row.name: number, row.scope: number + 1})

    def stored(self, name: str, bundle: Bundle, now: int) -> None:
        """A certificate that begins in the future counts as of *now*, so that a mistake of a CA keeps no later one
        out."""
        self.memory.remember_stored(name, fingerprint(bundle.leaf), min(not_before(bundle.leaf), now))

    def past(self, name: str) -> Past:
        return self.memory.past(name)

    def ordered(self, name: str, now: float) -> None:
        self.memory.remember_ordered(name, now)

    def dropped(self, name: str) -> None:
        """The change of *name* counts no more."""
        scope = change_scope(name)
        self.memory.remember({scope: self.memory.newest(scope) + 1})

    def faults(self, row: Enrolment) -> list[Fault]:
        """Also remembers the number of a good seal that is newer than those before: another issuer made it."""
        if not row.seal:
            return [Fault.NONE]
        opened = self._opened(row.seal)
        if isinstance(opened, Fault):
            return [opened]
        newest = self.memory.newest(row.scope)
        if row.changing:  # it was sealed after the row, or with it: an earlier seal of the row is none of a change
            newest = max(newest, 1 + self.memory.newest(row.name))
        found = faults(row, opened, newest)
        if not found and opened.number > newest:
            self.memory.remember({row.scope: opened.number})
        if not found and opened.key not in row.compromised and self.memory.is_revoked(row.name, opened.key):
            return [Fault.COMPROMISED]
        return found

    def sealed(self, seal: str) -> Sealed | None:
        """The content of a *seal* that is ours; None for another text."""
        opened = self._opened(seal)
        return None if isinstance(opened, Fault) else opened

    def of_order(self, record: OrderRecord) -> str:
        """The seal of an order that is under way as it is: a line "KEY MAC", whose content is that of the row."""
        return f"{self.key_id} {self._mac(order_text(record))}"

    def wrote(self, record: OrderRecord, seal: str) -> bool:
        """Did an issuer with our key write *record* with that *seal*? Without a usable key nobody did."""
        try:
            return hmac.compare_digest(self.of_order(record).encode(), seal.encode())
        except ConfigError:  # `faults` raises it, for the row of certs
            return False

    def unapproved(self, row: Enrolment) -> Unapproved | None:
        content = row.waiting
        if content is None or content.name != row.name:
            return None
        genuine = hmac.compare_digest(self.seal(content).encode(), row.unapproved.encode())
        return content if genuine else None

    def tombstone(self, name: str, now: int) -> str:
        """Tells other issuers that *name* was removed by one."""
        return self.seal(Sealed(name, "", "", (), _REMOVED, False, self.number(name, now)))

    def bury(self, name: str, tombstone: str) -> bool:
        """Remember that *name* was removed, so that no earlier seal brings it back; False for a *tombstone* that is
        none, or that of an earlier removal."""
        opened = self._opened(tombstone)
        if isinstance(opened, Fault) or (opened.name, opened.validation) != (name, _REMOVED):
            return False
        if opened.number <= self.memory.newest(name):
            return False
        self.memory.bury(name, opened.number)
        return True

    def _opened(self, seal: str) -> Sealed | Fault:
        """The content of a genuine seal."""
        key_id, _, rest = seal.partition(" ")
        mac, _, content = rest.partition(" ")
        if key_id != self.key_id:
            return Fault.OTHER_SEAL_KEY
        if not hmac.compare_digest(mac.encode(), self._mac(content).encode()):
            return Fault.FORGED
        try:
            return Sealed.of_text(content)
        except ValueError:  # of an order, say: somebody has put it here
            return Fault.OTHER_KIND

    def _mac(self, content: str) -> str:
        return hmac.digest(self._key, content.encode(), "sha256").hex()


def order_text(record: OrderRecord) -> str:
    """All that decides where an order is asked for, for what, what comes next, and whether a person makes it come. No
    text of a row begins like it."""
    asked = (record.name, record.directory, record.url, record.csr_sha256, record.replaces)
    by_hand = [record.cause.value] * (record.cause is Cause.BY_HAND)
    return json.dumps(["order", 1, *asked, record.created_at, record.state.value, *by_hand], ensure_ascii=True)


def _number(seal: str) -> int:
    return Sealed.of_text(seal.split(" ", 2)[2]).number
