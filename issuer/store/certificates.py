"""The ``certs`` table, with the versions and events that a change adds. One method, one transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from shlex import quote

import sqlalchemy as sa

from common.certificate import Bundle, certified_names, serial_text, spki_sha256
from common.chunks import chunks
from common.clock import utc_text
from common.errors import CertfleetError, RefusedError, UsageError
from common.similar import MOST_COMPARED, did_you_mean
from issuer.model.csr import CsrFacts, md5_modulus
from issuer.model.enrolment import AT_ONCE, Enrolment, Validation
from issuer.model.errors import GivenUp, Overtaken
from issuer.model.failure import Failure
from issuer.model.obtained import Obtained
from issuer.model.orders import OrderRecord, OrderState, is_by_hand
from issuer.rules.change import failed_as
from issuer.store.database import Database
from issuer.store.failures import NO_FAILURE, failure_cells, let_failures_be_news, line, to_text
from issuer.store.orders import cause_of, give_up
from issuer.store.present import (
    Signer,
    add_event,
    add_version,
    keep_back,
    newest_version,
    put_in_place,
    take_change,
    tell_stored,
    unsigned,
)
from issuer.store.rows import Question, change_as_read, compromised_keys, due, named, portions
from issuer.store.seals import Seal, put_seal
from issuer.store.tables import NEW_ROW, certs, events, is_enabled, orders, versions

_AT_ONCE = sa.case((certs.c.change_csr.is_not(None), AT_ONCE), else_=None)  # for the changes among some rows
_ENDED = (OrderState.STORED.value, OrderState.FAILED.value)
_END = orders.update().where(orders.c.id == sa.bindparam("number"), orders.c.state.not_in(_ENDED))
_ENDING = sa.select(orders.c.state, orders.c.error).where(orders.c.id == sa.bindparam("number"))


class Certificates:
    """All reading and writing of enrolled certificates. A CertificateStore (issuer/journey/rows.py), which describes
    the methods that have no words here. Moments are epoch seconds. Raises StoreError.

    *portion*: how many rows :meth:`all` has in memory at once. *sign*: for :meth:`store`.
    """

    def __init__(self, database: Database, *, portion: int = 1000, sign: Signer = unsigned):
        self._database = database
        self._portion = portion
        self._sign = sign

    def enrol(
        self, name: str, csr: CsrFacts, *, comment: str, validation: Validation, now: int, seal: Seal | None = None
    ) -> None:
        """Add a disabled row for *name*, with its *seal*. Raises RefusedError if there is one."""

        def work(connection: sa.Connection) -> None:
            if connection.scalar(sa.select(certs.c.name).where(certs.c.name == name)) is not None:
                hint = f"look at it with `status {quote(name)}`; `remove {quote(name)}` first if it is to start afresh"
                raise RefusedError(f"{name} is enrolled already", hint=hint, reference="already-enrolled")
            row = {"name": name, "enable": "N", "csr": csr.pem, "md5_modulus": csr.md5_modulus}
            ways = {
                "certbot": "Y" if validation.certbot else "N",
                "webroot_path": validation.webroot_path or None,
                "validations": validation.ways_text or None,
            }
            connection.execute(certs.insert().values(comment=comment, **row, **ways, **NEW_ROW))
            add_event(connection, now, name, "enrolled", f"key {csr.spki_sha256}")
            if seal is not None:
                put_seal(connection, seal, now)

        self._database.write(work)

    def get(self, names: Iterable[str]) -> list[Enrolment]:
        wanted = list(dict.fromkeys(names))
        rows = {row.name: row for row in self.enrolled(wanted)}
        unknown = [name for name in wanted if name not in rows]
        if unknown:
            removed = self._removed(unknown)
            hint = "".join(
                f"{name} was removed at {utc_text(at)}, `history {quote(name)}` shows it; " for name, at in removed
            )
            hint += did_you_mean([name for name in unknown if name not in dict(removed)], self._some_names())
            hint += "`status` lists what is enrolled; enrol with `populate NAME`"
            raise UsageError(f"not enrolled: {', '.join(unknown)}", hint=hint, reference="not-enrolled")
        return [rows[name] for name in wanted]

    def enrolled(self, names: Sequence[str]) -> list[Enrolment]:
        return self._database.read(lambda connection: named(connection, names)) if names else []

    def _removed(self, unknown: Sequence[str]) -> list[tuple[str, int]]:
        """The *unknown* names that were enrolled once, each with the moment of its removal."""
        gone = (events.c.event == "removed", events.c.name.in_(unknown))
        query = sa.select(events.c.name, sa.func.max(events.c.at)).where(*gone).group_by(events.c.name)
        return self._database.read(lambda connection: [(name, at) for name, at in connection.execute(query)])

    def _some_names(self) -> list[str]:
        """Enrolled names, one more than are compared with mistyped ones."""
        query = sa.select(certs.c.name).limit(MOST_COMPARED + 1)
        return self._database.read(lambda connection: list(filter(None, connection.scalars(query))))

    def compromised(self, name: str) -> frozenset[str]:
        """SHA-256 of the public keys of *name* that were revoked as compromised, also after its removal."""
        return self._database.read(lambda connection: compromised_keys(connection, [name])).get(name, frozenset())

    def all(self, *, chains: bool = True) -> Iterator[Enrolment]:
        """Every row, by name; read in portions, because all at once may not fit in memory. *chains*: with those
        of the certificates."""
        yield from chain.from_iterable(portions(self._database, (), self._portion, chains=chains))

    def last_from(self, issuer: str) -> Bundle | None:
        """None where that one cannot be read."""
        return newest_version(self._database, versions.c.issuer == issuer, versions.c.unapproved.is_(None))

    def due(self, now: int, wanted: Callable[[Enrolment], bool] = bool) -> list[Enrolment]:
        """Only those that are *wanted* are in memory together."""
        return self._those(due(now), wanted)

    def change_nothing(self) -> None:
        """Update no row. Raises StoreError if the database would refuse an update: read-only, no rights."""
        change = certs.update().where(sa.false()).values(enable="N")
        self._database.write(lambda connection: connection.execute(change))

    def failing(self, now: int, wanted: Callable[[Enrolment], bool] = bool) -> list[Enrolment]:
        """Enabled rows that failed and wait for their next attempt, as :meth:`due` does."""
        failed = [
            (is_enabled, certs.c.count_fail_update > 0, certs.c.due_at > now),
            (is_enabled, certs.c.change_failures > 0, certs.c.change_due_at > now),
        ]
        return [row for row in self._those(failed, wanted) if failed_as(row)]

    def _those(self, questions: Sequence[Question], wanted: Callable[[Enrolment], bool]) -> list[Enrolment]:
        """Rows that fulfil all conditions of one of *questions*, and are *wanted*."""

        def work(connection: sa.Connection) -> list[str]:
            queries = (sa.select(certs.c.name).where(*question).order_by(certs.c.name) for question in questions)
            return list(dict.fromkeys(name for query in queries for name in connection.scalars(query) if name))

        names = self._database.read(work)
        return [row for some in chunks(names, self._portion) for row in self.enrolled(some) if wanted(row)]

    def set_enabled(self, names: Sequence[str], enabled: bool, now: int) -> None:
        """Switch automatic renewal. Raises UsageError for names that are not enrolled."""
        self.get(names)
        flag, word = ("Y", "enabled") if enabled else ("N", "disabled")

        def work(connection: sa.Connection) -> None:
            connection.execute(certs.update().where(certs.c.name.in_(names)).values(enable=flag))
            if not enabled:  # nobody waits for their recovery then
                let_failures_be_news(connection, names)
            for name in names:
                add_event(connection, now, name, word, "")

        self._database.write(work)

    def remove(self, name: str, now: int, tombstone: str = "") -> None:
        """Delete the row, with an event that has the *tombstone* of its seal, and end an order under way without a
        lease; the next sweep withdraws what it published.

        Versions and events stay. Raises RefusedError while an issuer has the lease, UsageError without a row.
        """
        self.get([name])

        def work(connection: sa.Connection) -> None:
            give_up(connection, name, "the certificate was removed", now)
            refuse_under_way(connection, name, now)
            connection.execute(certs.delete().where(certs.c.name == name))
            add_event(connection, now, name, "removed", tombstone)

        self._database.write(work)

    def request_reissue(self, names: Sequence[str], reason: str) -> None:
        self._change(names, reissue_reason=reason, due_at=None, change_due_at=_AT_ONCE)

    def retry_now(self, names: Sequence[str]) -> None:
        """Make *names*, which failed, due now. A hold of the CA stays in force."""
        self._change(names, due_at=None, change_due_at=_AT_ONCE)

    def postpone(self, name: str, due_at: int, *, change: bool = False) -> None:
        self._change([name], **({"change_due_at": due_at} if change else {"due_at": due_at}))

    def plan_look(self, row: Enrolment, due_at: int, *, over: bool = False) -> None:
        column = certs.c.change_due_at if row.changing else certs.c.due_at
        as_read = {certs.c.crt: row.crt, column: row.due_at, certs.c.reissue_reason: row.reissue_reason}
        ended = {"count_fail_update": 0, **NO_FAILURE} if over else {}
        values = {column.name: due_at, **ended}
        self._database.write(lambda connection: change_as_read(connection, row.name, as_read, values))

    def give_up_by_hand(
        self, name: str, wish: str, failure: Failure, *, due_at: int | None, now: int, change: bool = False
    ) -> None:
        """It counts as no failure in a row: only a person tried."""
        values: dict[str, object] = {"reissue_reason": wish or None}
        values |= _change_cells(failure, due_at or AT_ONCE) if change else _own_cells(failure, due_at)

        def work(connection: sa.Connection) -> None:
            connection.execute(certs.update().where(certs.c.name == name).values(**values))
            add_event(connection, now, name, "failed by hand", line(failure))

        self._database.write(work)

    def save_renewal_info(self, row: Enrolment, explanation_url: str) -> None:
        """With the moment that was drawn in the CA's window (RFC 9773 §4.2), so that it is drawn once."""
        start, end = row.ari_window or (None, None)
        drawn: dict[str, object] = {"ari_at": row.ari_at, "ari_start": start, "ari_end": end, "ari_window": None}
        drawn |= {"ari_ask_at": row.ari_ask_at, "ari_url": explanation_url or None}
        self._database.write(lambda connection: change_as_read(connection, row.name, {certs.c.crt: row.crt}, drawn))

    def _change(self, names: Sequence[str], **values: object) -> None:
        change = certs.update().where(certs.c.name.in_(names)).values(**values)
        self._database.write(lambda connection: connection.execute(change))

    def record_failure(self, name: str, failure: Failure, due_at: int, now: int, *, change: bool = False) -> None:
        column = certs.c.change_failures if change else certs.c.count_fail_update
        cells = _change_cells(failure, due_at) if change else _own_cells(failure, due_at)
        cells[column.name] = sa.func.coalesce(column, 0) + 1

        def work(connection: sa.Connection) -> None:
            there = certs.c.change_csr.is_not(None) if change else sa.true()
            connection.execute(certs.update().where(certs.c.name == name, there).values(cells))
            add_event(connection, now, name, "change failed" if change else "failed", line(failure))

        self._database.write(work)

    def store(self, order: OrderRecord, obtained: Obtained, now: int, *, news: str = "", unapproved: str = "") -> None:
        """Where it raises Overtaken or GivenUp, only `history` has the certificate, and `revoke` finds it there."""
        bundle = obtained.bundle
        ended = {"state": OrderState.STORED.value, **dict.fromkeys(("active_name", "deadline", "lease_owner", "seal"))}

        def work(connection: sa.Connection) -> CertfleetError | None:
            live = connection.execute(_END, {"number": order.id, "updated_at": now, **ended}).rowcount > 0
            ending = None if live else connection.execute(_ENDING, {"number": order.id}).one_or_none()
            if ending is not None and ending.state == OrderState.STORED.value:
                return None  # our own COMMIT succeeded and its answer was lost; a second one would lose the old pair
            changed = live and take_change(connection, order.name, obtained.csr, md5_modulus(bundle.leaf.public_key()))
            if unapproved:
                placed = live and keep_back(connection, order.name, obtained, unapproved)
            else:
                placed = live and put_in_place(connection, order.name, obtained, now, self._sign)
            add_version(connection, order.name, bundle, order.directory, now, unapproved=bool(unapproved))
            if changed:
                names = ", ".join(sorted(certified_names(bundle.leaf)))
                add_event(connection, now, order.name, "changed", f"it is for {names} now")
            if placed:
                tell_stored(connection, order, obtained.csr, bundle, now=now, news=news, waits=bool(unapproved))
                return None
            return _set_aside(connection, order.name, bundle, None if ending is None else ending.error, now)

        refusal = self._database.write(work)
        if refusal is not None:
            raise refusal


def _set_aside(connection: sa.Connection, name: str, bundle: Bundle, reason: str | None, now: int) -> CertfleetError:
    """Tell that *bundle* is not for what is enrolled now. *reason*: why its order was ended; None where it was not."""
    serial = serial_text(bundle.leaf)
    add_event(connection, now, name, "set aside", f"serial {serial}, not for what is enrolled now")
    if reason is None:
        return Overtaken(name)
    keys = compromised_keys(connection, [name]).get(name, ())
    return GivenUp(name, reason, to_revoke=serial if spki_sha256(bundle.leaf.public_key()) in keys else "")


def refuse_under_way(connection: sa.Connection, name: str, now: int) -> None:
    """Raise RefusedError while an order for *name* is under way: it would overwrite the change."""
    query = sa.select(orders.c.reason, orders.c.deadline).where(orders.c.active_name == name)
    order = connection.execute(query).first()
    if order is None:
        return
    what = f"an order for {name} is under way"
    hint = "let `certfleet-issuer run` finish it first; after a killed run wait ten minutes"
    if is_by_hand(cause_of(order.reason), order.deadline, now):
        what = f"an order for {name} is in a person's hands until {utc_text(order.deadline)}"
        hint = f"finish it with `solve` and `request`, or let `issue {quote(name)}` take it over"
    raise RefusedError(what, hint=hint, reference="order-under-way")


def _own_cells(failure: Failure, due_at: int | None) -> dict[str, object]:
    return {"due_at": due_at, **failure_cells(failure)}


def _change_cells(failure: Failure, due_at: int) -> dict[str, object]:
    return {"change_due_at": due_at, "change_failure": to_text(failure)}
