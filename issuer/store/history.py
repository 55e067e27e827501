"""Every certificate ever stored and every event, and the ways back. One method, one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from common.certificate import Bundle, fingerprint, serial_text, spki_sha256
from common.clock import utc_text
from common.errors import RefusedError
from issuer.model.enrolment import csr_digest
from issuer.model.leaf import Damaged, bundle_of
from issuer.model.reasons import KEY_COMPROMISE, words_of
from issuer.rules.change import newest
from issuer.store.cells import from_row
from issuer.store.certificates import refuse_under_way
from issuer.store.database import Database
from issuer.store.orders import give_up
from issuer.store.present import Signer, add_event, add_version, approved, replace_present, unsigned
from issuer.store.rows import named
from issuer.store.seals import Seal, put_seal
from issuer.store.tables import NEW_ROW, YES, certs, events, versions

_COMPROMISED = "its key was revoked as compromised"
MOST = 2000  # certificates and events of one name in memory: five years of daily ones


@dataclass(frozen=True, slots=True)
class Version:
    """One certificate that was stored, when (epoch seconds) and from which CA. *unapproved*: it waits, or waited in
    vain, for approval, so that no host got it."""

    sha256: str
    serial: str
    issuer: str
    not_before: int
    not_after: int
    stored_at: int
    directory: str  # the CA's; "" for one from outside
    revoked: bool
    unapproved: bool
    crt: bytes
    ca: bytes

    @property
    def bundle(self) -> Bundle | Damaged:
        """The certificate with its chain, parsed anew each time."""
        bundle = bundle_of(self.crt, self.ca)
        if isinstance(bundle, Bundle) and self.ca and not bundle.chain:
            return Damaged("its chain has no certificate")
        return bundle


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One line of the audit trail; *at* in epoch seconds."""

    at: int
    event: str
    detail: str

    @property
    def fields(self) -> dict[str, str]:
        """The event for --json."""
        return {"at": utc_text(self.at), "event": self.event, "detail": self.detail}


class History:
    """Moments are epoch seconds. *sign*: for the ways back. Raises StoreError."""

    def __init__(self, database: Database, *, sign: Signer = unsigned):
        self._database = database
        self._sign = sign

    def versions(self, name: str) -> list[Version]:
        """The stored certificates of *name*, the newest first, at most MOST."""
        newest = (versions.c.stored_at.desc(), versions.c.id.desc())
        query = sa.select(versions).where(versions.c.name == name).order_by(*newest).limit(MOST)
        rows = self._database.read(lambda connection: connection.execute(query).mappings().all())
        return list(map(_version, rows))

    def count(self, name: str) -> int:
        """How many certificates of *name* are stored."""
        query = sa.select(sa.func.count()).where(versions.c.name == name)
        return int(self._database.read(lambda connection: connection.scalar(query)) or 0)

    def names_with_key(self, md5_modulus: str) -> list[str]:
        """The enrolled names whose CSR has that key, by the column md5_modulus. Reads the whole table."""
        same = sa.select(certs.c.name).where(certs.c.md5_modulus == md5_modulus)
        return self._database.read(lambda connection: list(filter(None, connection.scalars(same))))

    def events(self, name: str, most: int = MOST) -> list[AuditEvent]:
        """The events of *name*, the newest first, at most *most*."""
        query = sa.select(events).where(events.c.name == name).order_by(events.c.at.desc(), events.c.id.desc())
        rows = self._database.read(lambda connection: connection.execute(query.limit(most)).mappings().all())
        return [_event(row) for row in rows]

    def newest(self, most: int, *, besides: Collection[str]) -> list[tuple[str, AuditEvent]]:
        """The events of all certificates without those *besides*, the newest first, at most *most*, each with the name
        that it is about."""
        query = sa.select(events).where(events.c.event.not_in(besides)).order_by(events.c.id.desc()).limit(most)
        rows = self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [(row["name"], _event(row)) for row in rows]

    def note(self, name: str, event: str, detail: str, now: int) -> None:
        """Add a line about *name*, be it enrolled or not."""
        self._database.write(lambda connection: add_event(connection, now, name, event, detail))

    def go_back(
        self,
        name: str,
        version: Version,
        bundle: Bundle,
        due_at: int,
        now: int,
        *,
        seals: Sequence[Seal] = (),
    ) -> None:
        """Make an earlier certificate the present one, as a new one would be. *seals*: of the row as it is then, and of
        its change. A takeover moves to the end of the certificate. Raises RefusedError if an order is under way or the
        row is gone."""
        outside = None if version.directory else "Y"
        origin = {"directory": version.directory or None, "imported": outside, "rolled_back": version.sha256}

        def work(connection: sa.Connection) -> None:
            approved(connection, name, version.sha256)
            _replace(connection, name, bundle, "rolled back", now, sign=self._sign, older=True, due_at=due_at, **origin)
            _seal_anew(connection, name, seals, now)

        self._database.write(work)

    def take_in(
        self,
        name: str,
        bundle: Bundle,
        md5_modulus: str,
        comment: str,
        now: int,
        *,
        seals: Sequence[Seal] = (),
    ) -> None:
        """Store a certificate from outside, which ACME never renews; add the row if there is none. A takeover that
        waits moves to its end. *seals*: of the row as it is then, and of its change. Raises RefusedError if an order is
        under way."""

        def work(connection: sa.Connection) -> None:
            if connection.scalar(sa.select(certs.c.name).where(certs.c.name == name)) is None:
                row = {"name": name, "enable": "Y", "certbot": "N", "md5_modulus": md5_modulus, "comment": comment}
                connection.execute(certs.insert().values(**row, **NEW_ROW))
            _replace(connection, name, bundle, "imported", now, sign=self._sign, imported="Y")
            _remember(connection, name, bundle, None, now)
            _seal_anew(connection, name, seals, now)

        self._database.write(work)

    def mark_revoked(self, name: str, bundle: Bundle, directory: str, reason: int, now: int) -> bool:
        """Save a revocation, also in the row if it is the present certificate. *reason*: a number (RFC 5280
        §5.3.1). A compromised key is never certified again: a row that still has it is disabled and its order ended,
        and the answer is True. A row whose change has another key stays enabled: that change is the remedy."""
        key = spki_sha256(bundle.leaf.public_key())

        def work(connection: sa.Connection) -> bool:
            _remember(connection, name, bundle, directory or None, now)
            open_to_change = sa.or_(versions.c.revoked.is_(None), versions.c.revoked != KEY_COMPROMISE)
            connection.execute(versions.update().where(*_same(name, bundle), open_to_change).values(revoked=reason))
            row = next(iter(named(connection, [name])), None)
            if row is not None and row.crt == bundle.leaf_pem:
                connection.execute(certs.update().where(certs.c.name == name).values(revoked="Y"))
            add_event(connection, now, name, "revoked", f"serial {serial_text(bundle.leaf)}, reason {words_of(reason)}")
            if reason != KEY_COMPROMISE or row is None or row.key_sha256 not in (key, ""):
                return False
            if row.change is not None and newest(row).key_sha256 not in ("", *row.compromised):
                if row.ordered != csr_digest(row.change.csr):
                    give_up(connection, name, _COMPROMISED, now, leased=True)
                return False
            give_up(connection, name, _COMPROMISED, now, leased=True)
            connection.execute(certs.update().where(certs.c.name == name).values(enable="N", reissue_reason=None))
            add_event(connection, now, name, "disabled", "its key must not be used again")
            return True

        return self._database.write(work)


def _same(name: str, bundle: Bundle) -> tuple[sa.ColumnElement[bool], ...]:
    return versions.c.name == name, versions.c.sha256 == fingerprint(bundle.leaf)


def _remember(connection: sa.Connection, name: str, bundle: Bundle, directory: str | None, now: int) -> None:
    """Add a version unless it is there already, with the CA that issued it."""
    if connection.scalar(sa.select(versions.c.id).where(*_same(name, bundle)).limit(1)) is None:
        add_version(connection, name, bundle, directory, now)


def _replace(connection: sa.Connection, name: str, bundle: Bundle, event: str, now: int, **more: Any) -> None:
    refuse_under_way(connection, name, now)
    if not replace_present(connection, name, bundle, now, **more):
        raise RefusedError(f"{name} is not enrolled", reference="not-enrolled")
    add_event(connection, now, name, event, f"serial {serial_text(bundle.leaf)}")


def _version(row: sa.RowMapping) -> Version:
    return from_row(Version, row, revoked=row["revoked"] is not None, unapproved=row["unapproved"] in YES)


def _seal_anew(connection: sa.Connection, name: str, seals: Sequence[Seal], now: int) -> None:
    """Seal the row of *name* and its change after another certificate became the present one; a takeover moves."""
    for seal in seals:
        put_seal(connection, seal, now)
    later = certs.update().where(certs.c.name == name, certs.c.imported.is_not(None), certs.c.takeover.is_not(None))
    connection.execute(later.values(change_due_at=certs.c.ts_expire - certs.c.takeover))


def _event(row: sa.RowMapping) -> AuditEvent:
    tombstone = row["event"] == "removed"  # it is for other issuers, not for people
    return AuditEvent(row["at"], row["event"], "" if tombstone else row["detail"])
