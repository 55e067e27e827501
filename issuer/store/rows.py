"""Rows of ``certs`` as they are read: which ones are due, and each with what other tables say of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from issuer.model.enrolment import AT_ONCE, Change, Enrolment, Validation, validation_of
from issuer.model.leaf import Leaf, leaf_of
from issuer.model.limits import LONGEST_HOLD
from issuer.model.reasons import KEY_COMPROMISE
from issuer.model.watch import MAILS, REPLACING, UNWATCHED, Watch
from issuer.rules.due import FIRST_MAY_WAIT
from issuer.store.cells import OctetLength, too_far, window
from issuer.store.database import Database
from issuer.store.failures import failure_of, of_text
from issuer.store.tables import YES, certs, has_certificate, is_enabled, orders, versions

NEAR_END = 3 * 86400  # seconds: everything is renewed earlier than this before its end, unless it waits
_OLD_PAIR = ("old_ca", "old_crt")  # no command of ours reads them
WATCH = ("audit_at", "audit_found", "audit_served", "mute_until", "mute", "contact", "renewal_note")
_AS_THEY_ARE = (  # columns that an Enrolment has by the same names
    *("name", "csr", "crt", "ca", "ts_expire", "ts_last_update", "due_at", "reissue_reason", "directory", "profile"),
    *("ari_at", "ari_ask_at", "rolled_back", "statement", "seal", "unapproved"),
)
# Only ``versions`` says that a key is compromised, because it outlives the row. Each reading of rows asks whether there
# is any; only then a second question asks for names. The server never compares the names of the two tables: an adopted
# one may have another collation, and MySQL refuses that (error 1267).
_ANY = sa.exists(sa.select(versions.c.id).where(versions.c.revoked == KEY_COMPROMISE)).label("any_compromised")
_REVOKED = sa.select(versions.c.name, versions.c.crt).where(
    versions.c.revoked == KEY_COMPROMISE, versions.c.name.in_(sa.bindparam("names", expanding=True))
)
_COLUMNS = [column for column in certs.c if column.name not in _OLD_PAIR]
# SQLite takes any length; a longer one is no name of ours, and its row is left alone
_IS_NAME = OctetLength(certs.c.name) <= 4 * 250
_ROWS = sa.select(*_COLUMNS, _ANY).where(_IS_NAME)
_NO_CHAIN = sa.type_coerce(sa.null(), certs.c.ca.type).label("ca")
_WITHOUT_CHAINS = sa.select(*(column for column in _COLUMNS if column is not certs.c.ca), _NO_CHAIN, _ANY)
_WITHOUT_CHAINS = _WITHOUT_CHAINS.where(_IS_NAME)
_NAMED = _ROWS.where(certs.c.name.in_(sa.bindparam("names", expanding=True))).order_by(certs.c.name)
_ORDERED = sa.select(orders.c.active_name, orders.c.csr_sha256).where(
    orders.c.active_name.in_(sa.bindparam("names", expanding=True))
)

Question = tuple[sa.ColumnElement[bool], ...]
"""Conditions on ``certs``, all of which hold."""


def any_row(database: Database, column: str) -> bool:
    """Has any row something in *column*? Raises StoreError."""
    query = sa.select(certs.c.name).where(certs.c[column].is_not(None)).limit(1)
    return database.read(lambda connection: connection.scalar(query)) is not None


def change_as_read(
    connection: sa.Connection, name: str, as_read: Mapping[sa.Column[Any], object], values: Mapping[str, object]
) -> bool:
    """Change the row of *name* if what was read of it is still so; False if it is not. Compared here: what other
    programs have written into a column reads as one value, and is another one for the database."""
    present = sa.select(*as_read).where(certs.c.name == name).with_for_update()
    found = connection.execute(present).one_or_none()
    if found is None or tuple(found) != tuple(as_read.values()):
        return False
    connection.execute(certs.update().where(certs.c.name == name).values(**values))
    return True


def due(now: int) -> list[Question]:
    """The rows to look at now, or whose change is. One question for each reason: an OR would scan the table.

    A clock that was wrong once must keep no row waiting for years, so a moment that is too far ahead does not count.
    """
    longest = sa.case((has_certificate, LONGEST_HOLD), else_=FIRST_MAY_WAIT)
    ends_soon = (certs.c.imported.is_(None), certs.c.ts_expire <= now + NEAR_END)
    failed = (certs.c.count_fail_update > 0, certs.c.last_error.is_not(None))
    retries = sa.func.coalesce(sa.and_(*failed), sa.false())
    past = (certs.c.ts_expire <= now, certs.c.due_at > now)
    # whatever its moment: only the certificate tells whether it is good (issuer.rules.due.forced)
    seems_expired = sa.and_(*past, sa.func.length(certs.c.crt) > 0, sa.not_(retries))
    return [
        (is_enabled, certs.c.due_at.is_(None)),
        (is_enabled, certs.c.due_at <= now),
        # a comparison of due_at alone would walk its index through all rows that are well: these end soon, or failed
        (is_enabled, *ends_soon, sa.or_(too_far(certs.c.due_at, now, longest), seems_expired)),
        (is_enabled, *failed, too_far(certs.c.due_at + 0, now, LONGEST_HOLD)),
        (is_enabled, certs.c.change_due_at <= now),
        (is_enabled, certs.c.takeover.is_(None), too_far(certs.c.change_due_at, now, LONGEST_HOLD)),
    ]


def compromised_keys(connection: sa.Connection, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """SHA-256 of the public keys of each of *names* that were revoked as compromised (RFC 5280 §5.3.1), if any."""
    found: dict[str, frozenset[str]] = {}
    for row in connection.execute(_REVOKED, {"names": names}) if names else ():
        leaf = leaf_of(row.crt)
        if isinstance(leaf, Leaf):  # the key of a damaged certificate is lost
            found[row.name] = found.get(row.name, frozenset()) | {leaf.spki_sha256}
    return found


def named(connection: sa.Connection, names: Sequence[str]) -> list[Enrolment]:
    """As :meth:`Certificates.enrolled`, in the caller's transaction."""
    return _enrolments(connection, connection.execute(_NAMED, {"names": names}))


def select(
    connection: sa.Connection, conditions: Iterable[sa.ColumnElement[bool]], most: int | None = None
) -> list[Enrolment]:
    """As :meth:`Certificates.all`, of the rows that fulfil all *conditions*."""
    return _enrolments(connection, connection.execute(_ROWS.where(*conditions).order_by(certs.c.name).limit(most)))


def portions(
    database: Database, conditions: Sequence[sa.ColumnElement[bool]], most: int, *, chains: bool = True
) -> Iterator[list[Enrolment]]:
    """The rows that fulfil all *conditions*, by name: so many in one transaction, which are in memory together."""
    rows = _ROWS if chains else _WITHOUT_CHAINS
    return database.portions(rows.where(*conditions), certs.c.name, most, _enrolments)


def _enrolments(connection: sa.Connection, found: Iterable[sa.Row[Any]]) -> list[Enrolment]:
    rows = [row._mapping for row in found if row.name]
    compromised = compromised_keys(connection, [row["name"] for row in rows if row["any_compromised"]])
    changing = [row["name"] for row in rows if row["change_csr"]]
    under_way = connection.execute(_ORDERED, {"names": changing}) if changing else ()
    ordered = {order.active_name: order.csr_sha256 for order in under_way}
    return [_enrolment(row, compromised.get(row["name"], frozenset()), ordered.get(row["name"], "")) for row in rows]


def _enrolment(row: sa.RowMapping, compromised: frozenset[str], ordered: str) -> Enrolment:
    validation = validation_of(row["certbot"] in YES, row["webroot_path"].strip(), row["validations"])
    return Enrolment(
        **{column: row[column] for column in _AS_THEY_ARE},
        enabled=row["enable"] in YES,
        validation=validation,
        failures=max(0, row["count_fail_update"]),
        account=row["account"].strip(),
        early=row["early"] == "Y",
        imported=row["imported"] == "Y",
        revoked=row["revoked"] == "Y",
        failure=failure_of(row),
        ari_window=window(row["ari_start"], row["ari_end"], row["ari_window"]),
        md5_modulus=row["md5_modulus"].strip(),
        compromised=compromised,
        change=_change(row, validation) if row["change_csr"] else None,
        ordered=ordered,
        watch=watch_of(row),
    )


def watch_of(row: sa.RowMapping) -> Watch:
    """The columns WATCH of *row*, as a value."""
    cells = [row[column] for column in WATCH]
    if not any(cells):
        return UNWATCHED
    mute = row["mute"].split()
    return Watch(
        muted_until=row["mute_until"] or 0,
        no_replacing=REPLACING in mute,
        no_mails=MAILS in mute,
        contact=row["contact"].strip(),
        renewal_note=row["renewal_note"].strip(),
        audit_at=row["audit_at"],
        found=frozenset(row["audit_found"].split()),
        served=frozenset(row["audit_served"].split()),
    )


def _change(row: sa.RowMapping, own: Validation) -> Change:
    failure = of_text(row["change_failure"])
    failures, seal = max(0, row["change_failures"]), row["change_seal"]
    validation = validation_of(own.certbot, own.webroot_path, row["change_validations"])
    due_at, takeover = row["change_due_at"] or AT_ONCE, max(0, row["takeover"] or 0)
    return Change(row["change_csr"], due_at, failures, failure, seal, validation, takeover)
