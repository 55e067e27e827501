"""How a certificate becomes the present one of its row. The pair before it moves to the columns for the old one."""

import hashlib
from typing import Any, Protocol

import sqlalchemy as sa

from common.certificate import Bundle, certified_names, fingerprint, issuer_text, not_after, not_before, serial_text
from issuer.model.csr import csr_of
from issuer.model.leaf import Damaged, bundle_of
from issuer.model.limits import names_text
from issuer.model.moments import believable
from issuer.model.obtained import Obtained
from issuer.model.orders import OrderRecord
from issuer.store.database import Database
from issuer.store.failures import NO_FAILURE
from issuer.store.tables import certs, events, versions

# the words of people about the row, and the pair before; all other columns speak of the present certificate
_ENROLLED = ("name", "enable", "comment", "certbot", "csr", "md5_modulus", "webroot_path", "validations", "seal")
_CHANGE = (
    "change_csr",
    "change_due_at",
    "change_failures",
    "change_failure",
    "change_validations",
    "change_seal",
    "takeover",
)
_WATCH = ("audit_found", "audit_served", "mute_until", "mute", "contact", "renewal_note")
_KEPT = (*_ENROLLED, *_CHANGE, *_WATCH, "old_ca", "old_crt")
_FRESH = [column.name for column in certs.columns if column.name not in _KEPT]
NO_CHANGE = dict.fromkeys(_CHANGE)
_REPLACE = (
    certs.update()
    .where(certs.c.name == sa.bindparam("the_name"))
    # in this order: MySQL assigns from left to right, and the old pair is read before the new one is written
    .ordered_values(
        (certs.c.old_crt, certs.c.crt),
        (certs.c.old_ca, certs.c.ca),
        *((certs.c[column], sa.bindparam(f"new_{column}")) for column in _FRESH),
    )
)
_TAKE_CHANGE = (
    certs.update()
    .where(
        certs.c.name == sa.bindparam("the_name"),
        sa.cast(certs.c.change_csr, sa.LargeBinary) == sa.bindparam("the_csr", type_=sa.LargeBinary),
    )
    .ordered_values(  # in this order, as above
        (certs.c.csr, certs.c.change_csr),
        (certs.c.validations, certs.c.change_validations),
        (certs.c.seal, certs.c.change_seal),
        (certs.c.md5_modulus, sa.bindparam("of_key")),
        *((certs.c[column], None) for column in _CHANGE),
    )
)
_LOOKED_AT = certs.c.csr, certs.c.statement, certs.c.ts_last_update
_BEFORE = sa.select(*_LOOKED_AT).where(certs.c.name == sa.bindparam("the_name")).with_for_update()
_AHEAD = 86400  # seconds that the moment of storing may be ahead of the clock: further ahead, a clock was wrong


class Signer(Protocol):
    """Signs a statement, as issuer/trust/statements.py does."""

    def __call__(self, name: str, bundle: Bundle, before: str, now: int, *, older: bool) -> str:
        """The signed text about *bundle*; "" for none. *before*: the text about the certificate before it. *older*: is
        it gone back to on purpose?"""


def unsigned(name: str, bundle: Bundle, before: str, now: int, *, older: bool) -> str:
    """The Signer of a process that stores no certificate."""
    return ""


def take_change(connection: sa.Connection, name: str, csr: bytes, md5_modulus: str) -> bool:
    """Let the change of *name* with that *csr* take the place of the row's CSR; False if no such change waits."""
    change = {"the_name": name, "the_csr": csr, "of_key": md5_modulus}
    return connection.execute(_TAKE_CHANGE, change).rowcount > 0


def replace_present(
    connection: sa.Connection,
    name: str,
    bundle: Bundle,
    now: int,
    *,
    sign: Signer,
    csr: bytes | None = None,
    older: bool = False,
    **more: Any,
) -> bool:
    """Make *bundle* the present certificate of *name*, with its statement; False if there is no such row, or none with
    that *csr*. *older*: is it gone back to?

    *more*: columns of ``certs``. Those about the present certificate that are not among them become NULL.
    """
    chain = bundle.chain_pem
    pair = {"crt": bundle.leaf_pem, "ca": chain, "md5_ca": hashlib.md5(chain, usedforsecurity=False).hexdigest()}
    before = connection.execute(_BEFORE, {"the_name": name}).one_or_none()
    # compared here: a column of text has other bytes for the server than for us
    if before is None or (csr is not None and before.csr != csr):
        return False
    updated = _later(before.ts_last_update, now)
    moments = {"ts_expire": not_after(bundle.leaf), "ts_last_update": updated, "count_fail_update": 0}
    statement = {"statement": sign(name, bundle, before.statement, now, older=older) or None}
    values = dict.fromkeys(_FRESH) | pair | moments | {"hosts_look_at": now} | statement | more
    change = {f"new_{column}": value for column, value in values.items()}
    return connection.execute(_REPLACE, {"the_name": name, **change}).rowcount > 0


def put_in_place(connection: sa.Connection, name: str, obtained: Obtained, now: int, sign: Signer) -> bool:
    """As :func:`replace_present`, by what was *obtained* for the CSR of the row."""
    columns: dict[str, Any] = {
        "due_at": obtained.due_at,
        "ari_ask_at": obtained.ask_at,
        "directory": obtained.directory,
        "account": obtained.account or None,
        "profile": obtained.profile or None,
        "early": "Y" if obtained.early else None,
    }
    return replace_present(connection, name, obtained.bundle, now, sign=sign, csr=obtained.csr, **columns)


def _later(before: int, now: int) -> int:
    """The moment of storing after that of *before*. Agents tell by it that there is a new one: two of the same second
    must not look alike, and the clock may have been set back."""
    return before + 1 if believable(before, now - 1, _AHEAD) else now


def keep_back(connection: sa.Connection, name: str, obtained: Obtained, line: str) -> bool:
    """Let what was *obtained* wait for approval beside the present certificate of *name*, until its *due_at*, in place
    of one that waits already; False if there is no such row with that CSR. *line*: about it, with its seal."""
    before = connection.execute(_BEFORE, {"the_name": name}).one_or_none()
    if before is None or before.csr != obtained.csr:
        return False
    served = {"reissue_reason": None, "count_fail_update": 0, **NO_FAILURE}
    values = {"unapproved": line, "due_at": obtained.due_at, **served}
    return connection.execute(certs.update().where(certs.c.name == name).values(**values)).rowcount > 0


def approved(connection: sa.Connection, name: str, sha256: str) -> None:
    """Save that a certificate of *name* needs no approval any more: its issuer is known from now on."""
    mine = versions.c.name == name, versions.c.sha256 == sha256, versions.c.unapproved.is_not(None)
    connection.execute(versions.update().where(*mine).values(unapproved=None))


def add_version(
    connection: sa.Connection, name: str, bundle: Bundle, directory: str | None, now: int, *, unapproved: bool = False
) -> None:
    """Keep a certificate for ever. *directory* is the URL of its CA's directory, None for one from outside.
    *unapproved*: no host gets it yet."""
    row = {
        "name": name,
        "sha256": fingerprint(bundle.leaf),
        "serial": serial_text(bundle.leaf),
        "issuer": issuer_text(bundle.leaf),
        "not_before": not_before(bundle.leaf),
        "not_after": not_after(bundle.leaf),
        "crt": bundle.leaf_pem,
        "ca": bundle.chain_pem,
        "names": names_text(certified_names(bundle.leaf)),
        "directory": directory,
        "stored_at": now,
        "unapproved": "Y" if unapproved else None,
    }
    connection.execute(versions.insert(), row)


def newest_version(database: Database, *these: sa.ColumnElement[bool]) -> Bundle | None:
    """The certificate that was kept last of *these*; None without one that can be read. Raises StoreError."""
    query = sa.select(versions.c.crt, versions.c.ca).where(*these).order_by(versions.c.id.desc()).limit(1)
    row = database.read(lambda connection: connection.execute(query).first())
    found = bundle_of(row.crt, row.ca) if row is not None else None
    return None if isinstance(found, Damaged) else found


def add_event(connection: sa.Connection, now: int, name: str, event: str, detail: str) -> None:
    """Add a line to the audit trail, in the transaction of the change that it tells about."""
    connection.execute(events.insert(), {"at": now, "name": name, "event": event, "detail": detail})


def tell_stored(
    connection: sa.Connection, order: OrderRecord, csr: bytes, bundle: Bundle, *, now: int, news: str, waits: bool
) -> None:
    """Add the event of a stored certificate; *waits*: for approval. Add one for *news* of the CA, and one for names
    that the CA has added to those of *csr*, as the settings allow."""
    detail = f"serial {serial_text(bundle.leaf)} from {order.directory}"
    add_event(connection, now, order.name, "awaits approval" if waits else "stored", detail)
    if news:
        add_event(connection, now, order.name, "CA changed", news)
    request = csr_of(csr)
    if not isinstance(request, Damaged) and (extra := certified_names(bundle.leaf) - set(request.names)):
        add_event(connection, now, order.name, "names added", f"the CA added {', '.join(sorted(extra))}")
