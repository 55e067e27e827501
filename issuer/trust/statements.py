"""The key by which this issuer signs what it hands out, in the state folder. The form is common/statement.py's.

statement.pem        the private key in PEM (PKCS#8, Ed25519), then its endorsements
statement.pem.new    the same with the next key, while not every statement is signed by that one; it signs already

The files are looked at for each signature, so a process that runs follows a change of the key.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from common.certificate import Bundle
from common.errors import ConfigError, FileError, Finding
from common.files import create_new, read_secret, sync_folder
from common.issuer_key import issuer_key_id, issuer_key_text
from common.stamps import stamps
from common.statement import (
    MOST_ENDORSEMENTS,
    SignedText,
    Statement,
    endorsed,
    next_sequence,
    parse_signed,
    signed,
    verified,
)
from issuer.model.leaf import Leaf, facts_of
from issuer.trust.memory import MEMORY, Memory

log = structlog.get_logger()
_END = b"-----END PRIVATE KEY-----"
LOST = "restore it from the backup; if it is lost for good: `certfleet-issuer key rollover --lost`"


@dataclass(frozen=True, slots=True)
class StatementKey:
    """*public*: 32 octets. *endorsements*: the lines that lead from earlier keys to this one, the oldest first.
    *before*: the public key that it is about to replace; None unless a change of the key is not finished."""

    private: Ed25519PrivateKey = field(repr=False)
    endorsements: tuple[str, ...] = ()
    before: bytes | None = None

    @property
    def public(self) -> bytes:
        return _public(self.private)

    @property
    def sentence(self) -> str:
        """For a person who sets up agents."""
        text, short = issuer_key_text(self.public), issuer_key_id(self.public)
        return f'agents pin the key of this issuer by issuer_key = "{text}" (id {short})'

    def statement(self, text: str) -> Statement | None:
        """The statement in *text*, if this key has signed it, or that before it."""
        return _read(text, self.public) or (_read(text, self.before) if self.before is not None else None)

    def has_signed(self, text: str) -> bool:
        """Has this very key signed the statement in *text*, and do its endorsements follow?"""
        try:
            found = parse_signed(text)
            verified(found.line, self.public)
        except ValueError:
            return False
        return found.endorsements == self.endorsements

    @property
    def continued(self) -> tuple[bytes, ...]:
        """The public keys whose sequences it goes on with: after the loss of a key, to anybody, they begin anew."""
        return (self.public, self.before) if self.before is not None and self.endorsements else (self.public,)

    def next_sequence(self, name: str, before: str, remembered: int, now: int) -> int:
        """The sequence of the next statement about *name*. *before*: the text that it takes the place of, "" for none.
        *remembered*: the highest one that the issuer remembers, whatever the database says. *now*: epoch seconds."""
        lasts = [last for last in (_read(before, key) for key in self.continued) if last is not None]
        return next_sequence(max([remembered, *(last.sequence for last in lasts if last.name == name)]), now)

    def sign(self, name: str, leaf: Leaf, sequence: int, now: int, *, older: bool) -> str:
        """The signed text about *leaf*. *now*: epoch seconds. *older*: is it gone back to on purpose?"""
        statement = Statement(
            name=name,
            key=leaf.spki_sha256,
            names=tuple(sorted(leaf.names)),
            sha256=leaf.sha256,
            ends=leaf.ends,
            sequence=sequence,
            moment=now,
            older=older,
        )
        return str(SignedText(signed(statement, self.private.sign), self.endorsements))


class Statements:
    """Signs by the key in *folder*, the state folder."""

    def __init__(self, folder: Path):
        self.file = folder / "statement.pem"
        self.next_file = folder / "statement.pem.new"  # there until every statement is signed by its key
        self.memory = Memory(folder / MEMORY)
        self._kept: tuple[object, StatementKey] | None = None  # the stamps of both files, and the key in them

    @property
    def absent(self) -> bool:
        return not os.path.lexists(self.file) and not self.changing

    @property
    def changing(self) -> bool:
        """Is there a next key, because not every statement is signed by it yet?"""
        return os.path.lexists(self.next_file)

    def create(self) -> StatementKey:
        """Make the first key, 0600. Raises FileError if there is one."""
        return _create(self.file, Ed25519PrivateKey.generate(), ())

    def key(self) -> StatementKey:
        """The key that signs now, read again when its files have changed. Raises ConfigError if it is absent, open to
        others or damaged."""
        read, kept = stamps([self.file, self.next_file]), self._kept
        if kept is None or kept[0] != read:
            kept = self._kept = read, self._read_key()
        return kept[1]

    def _read_key(self) -> StatementKey:
        before, now = _load(self.file), _load(self.next_file)
        if now is not None:
            return StatementKey(now.private, now.endorsements, before.public if before is not None else None)
        found = before or _load(self.file)  # the change has ended between the two looks
        if found is None:
            raise ConfigError(str(self.file), [Finding("", "there is no key to sign statements with")], hint=LOST)
        return found

    def fault(self) -> ConfigError | None:
        """Why certificates go out without a statement; None where they do not."""
        try:
            self.key()
        except ConfigError as error:
            return error
        return None

    def remembered(self, name: str, key: StatementKey) -> int:
        """The highest sequence about *name* that this issuer has given or seen; 0 for none. Raises FileError."""
        return self.memory.given(name, [issuer_key_id(each) for each in key.continued])

    def sign(self, name: str, bundle: Bundle, before: str, now: int, *, older: bool = False) -> str:
        """The signed text about the leaf of *bundle*, as of :class:`StatementKey`; "" where the key or the memory
        cannot be used. Then the certificate goes out without a statement, because hosts without `issuer_key` need it,
        and the log says so."""
        leaf = facts_of(bundle.leaf)
        try:
            key = self.key()
            sequence = key.next_sequence(name, before, self.remembered(name, key), now)
            self.memory.remember_signed(name, issuer_key_id(key.public), sequence, leaf.sha256)
        except (ConfigError, FileError) as error:
            log.error("statement.unsigned", certificate=name, error=str(error), hint=error.hint)
            return ""
        return key.sign(name, leaf, sequence, now, older=older)

    def begin_first(self) -> StatementKey:
        """Call the first key the next one until every present certificate has its statement. Makes it if there is none.
        Raises FileError, ConfigError."""
        if not self.changing and os.path.lexists(self.file):
            _rename(self.file, self.next_file)
        return self.begin_change(lost=True)

    def begin_change(self, *, lost: bool) -> StatementKey:
        """Make the next key, unless it is there; from then on it signs. With *lost* there is no key that could endorse
        it. Raises FileError, ConfigError."""
        if not self.changing:
            new, lines = Ed25519PrivateKey.generate(), tuple[str, ...]()
            if not lost:
                old = self.key()
                line = endorsed(_public(new), old.private.sign)
                lines = (*old.endorsements, line)[-MOST_ENDORSEMENTS:]
            _create(self.next_file, new, lines)
        return self.key()

    def end_change(self) -> None:
        """Let the next key take the place of the one before. Raises FileError."""
        _rename(self.next_file, self.file)


def _read(text: str, key: bytes) -> Statement | None:
    """The statement in *text*, if *key* has signed it."""
    try:
        return verified(parse_signed(text).line, key)
    except ValueError:
        return None


def _create(file: Path, private: Ed25519PrivateKey, endorsements: tuple[str, ...]) -> StatementKey:
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    create_new(file, pem + "".join(f"{line}\n" for line in endorsements).encode(), mode=0o600)
    return StatementKey(private, endorsements)


def _rename(old: Path, new: Path) -> None:
    try:
        os.rename(old, new)
        sync_folder(new.parent)
    except OSError as error:
        raise FileError(f"cannot rename {old} to {new}", why=error.strerror or str(error)) from error


def _load(file: Path) -> StatementKey | None:
    """The key in *file*; None if there is no such file. Raises ConfigError."""
    try:
        pem, end, rest = read_secret(file).partition(_END)
        private = load_pem_private_key(pem + end, None)
        lines = tuple(rest.decode("ascii").split())
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(str(file), [Finding("", "is not an unencrypted PEM private key")], hint=LOST) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(str(file), [Finding("", "is not an Ed25519 key")], hint=LOST)
    return StatementKey(private, lines)


def _public(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
