"""The enrolled certificates and the holds in memory."""

import dataclasses
from collections.abc import Sequence

from common.certificate import Bundle, fingerprint, issuer_text, not_after, serial_text, spki_sha256
from common.errors import UsageError
from issuer.model.enrolment import AT_ONCE, Enrolment
from issuer.model.errors import GivenUp, Overtaken
from issuer.model.failure import Failure
from issuer.model.limits import ACCOUNT, LONGEST_HOLD, LONGEST_HOLD_ON_NAME
from issuer.model.moments import believable
from issuer.model.obtained import Obtained
from issuer.model.orders import OrderRecord, OrderState
from issuer.rules.change import as_changing
from issuer.rules.due import FIRST_MAY_WAIT
from issuer.store.present import Signer, unsigned
from tests.issuer.fakes.tables import Tables

_NEAR_END = 3 * 86400


class MemoryCertificates:
    """A CertificateStore."""

    def __init__(self, tables: Tables, sign: Signer = unsigned):
        self._tables = tables
        self._sign = sign

    def get(self, names: Sequence[str]) -> list[Enrolment]:
        unknown = [name for name in names if name not in self._tables.certs]
        if unknown:
            raise UsageError(f"not enrolled: {', '.join(unknown)}", reference="not-enrolled")
        return [self._tables.row(name) for name in dict.fromkeys(names)]

    def enrolled(self, names: Sequence[str]) -> list[Enrolment]:
        return [self._tables.row(name) for name in sorted(set(names)) if name in self._tables.certs]

    def last_from(self, issuer: str) -> Bundle | None:
        kept_back = self._tables.unapproved
        known = [bundle for _, bundle in self._tables.versions if fingerprint(bundle.leaf) not in kept_back]
        theirs = [bundle for bundle in known if issuer_text(bundle.leaf) == issuer]
        return theirs[-1] if theirs else None

    def due(self, now: int) -> list[Enrolment]:
        return [
            self._tables.row(name) for name, row in sorted(self._tables.certs.items()) if row.enabled and _due(row, now)
        ]

    def request_reissue(self, names: Sequence[str], reason: str) -> None:
        for name in names:
            self._change(name, reissue_reason=reason, due_at=None)
            self._change_change(name, due_at=AT_ONCE)

    def give_up_by_hand(
        self, name: str, wish: str, failure: Failure, *, due_at: int | None, now: int, change: bool = False
    ) -> None:
        self._change(name, reissue_reason=wish)
        (self._change_change if change else self._change)(name, due_at=due_at, failure=failure)

    def postpone(self, name: str, due_at: int, *, change: bool = False) -> None:
        (self._change_change if change else self._change)(name, due_at=due_at)

    def plan_look(self, row: Enrolment, due_at: int, *, over: bool = False) -> None:
        with self._tables.lock:
            found = self._tables.certs.get(row.name)
            if found is not None and row.changing:
                found = as_changing(found, found.change) if found.change is not None else None
            if found is not None and _looked_at(found) == _looked_at(row):
                self.postpone(row.name, due_at, change=row.changing)
                if over:
                    self._change(row.name, failures=0, failure=None)

    def save_renewal_info(self, row: Enrolment, explanation_url: str) -> None:
        with self._tables.lock:
            found = self._tables.certs.get(row.name)
            if found is not None and found.crt == row.crt:
                self._change(row.name, ari_at=row.ari_at, ari_ask_at=row.ari_ask_at, ari_window=row.ari_window)

    def record_failure(self, name: str, failure: Failure, due_at: int, now: int, *, change: bool = False) -> None:
        with self._tables.lock:
            row = self._tables.certs.get(name)
            counted = row.change if row is not None and change else row
            failures = counted.failures + 1 if counted is not None else 0
            (self._change_change if change else self._change)(name, failures=failures, failure=failure, due_at=due_at)

    def store(self, order: OrderRecord, obtained: Obtained, now: int, *, news: str = "", unapproved: str = "") -> None:
        bundle, csr = obtained.bundle, obtained.csr
        with self._tables.lock:
            row, present = self._tables.orders.get(order.id), self._tables.certs.get(order.name)
            if row is not None and row.record.state is OrderState.STORED:
                return
            ended, reason = (row is None or not row.active), row.reason if row is not None else ""
            if row is not None and not ended:
                row.holder = None
                self._tables.end(row, dataclasses.replace(row.record, state=OrderState.STORED, deadline=None), now)
            self._tables.versions.append((order.name, bundle))
            if ended:
                raise self._given_up(order.name, reason, bundle)
            if present is not None and present.change is not None and present.change.csr == csr:
                present = dataclasses.replace(present, csr=csr, validation=present.change.validation, change=None)
            if present is None or present.csr != csr:
                raise Overtaken(order.name)
            if news:
                self._tables.news.append((order.name, news))
            if unapproved:
                self._tables.unapproved.add(fingerprint(bundle.leaf))
                waits = {"unapproved": unapproved, "due_at": obtained.due_at, "reissue_reason": "", "failures": 0}
                self._tables.certs[order.name] = dataclasses.replace(present, failure=None, **waits)  # type: ignore[arg-type]
                return
            self._tables.old_pairs[order.name] = (present.crt, present.ca)
            statement = self._sign(order.name, bundle, present.statement, now, older=False)
            self._tables.certs[order.name] = _renewed(present, obtained, statement, now)

    def _given_up(self, name: str, reason: str, bundle: Bundle) -> GivenUp:
        row = self._tables.certs.get(name)
        unsafe = row is not None and spki_sha256(bundle.leaf.public_key()) in row.compromised
        return GivenUp(name, reason, to_revoke=serial_text(bundle.leaf) if unsafe else "")

    def _change_change(self, name: str, **values: object) -> None:
        row = self._tables.certs.get(name)
        if row is not None and row.change is not None:
            self._change(name, change=dataclasses.replace(row.change, **values))  # type: ignore[arg-type]

    def _change(self, name: str, **values: object) -> None:
        with self._tables.lock:
            if name in self._tables.certs:
                self._tables.certs[name] = dataclasses.replace(self._tables.certs[name], **values)  # type: ignore[arg-type]


def _looked_at(row: Enrolment) -> tuple[bytes, int | None, str]:
    return row.crt, row.due_at, row.reissue_reason


def _due(row: Enrolment, now: int) -> bool:
    if row.due_at is None or row.due_at <= now:
        return True
    if row.change is not None and not now < row.change.due_at <= now + LONGEST_HOLD:
        return True
    expire = row.ts_expire
    if expire is None or expire > now + _NEAR_END or row.imported:
        return False
    forced = expire <= now and bool(row.crt) and not row.failing
    return forced or row.due_at > now + (LONGEST_HOLD if expire > 1 else FIRST_MAY_WAIT)


def _renewed(row: Enrolment, obtained: Obtained, statement: str, now: int) -> Enrolment:
    """The row with a new certificate, and nothing that was said of the one before."""
    return Enrolment(
        name=row.name,
        enabled=row.enabled,
        validation=row.validation,
        csr=row.csr,
        crt=obtained.bundle.leaf_pem,
        ca=obtained.bundle.chain_pem,
        ts_expire=not_after(obtained.bundle.leaf),
        ts_last_update=now,
        failures=0,
        due_at=obtained.due_at,
        reissue_reason="",
        directory=obtained.directory,
        account=obtained.account,
        profile=obtained.profile,
        early=obtained.early,
        ari_ask_at=obtained.ask_at,
        statement=statement,
        compromised=row.compromised,
        change=row.change,
        watch=dataclasses.replace(row.watch, audit_at=None),
    )


class MemoryApprovals:
    """An ApprovalStore."""

    def __init__(self, tables: Tables, sign: Signer = unsigned):
        self._tables = tables
        self._sign = sign

    def certificate(self, row: Enrolment) -> Bundle | None:
        sha256 = row.waiting.sha256 if row.waiting is not None else ""
        mine = [bundle for name, bundle in self._tables.versions if name == row.name]
        return next((bundle for bundle in reversed(mine) if fingerprint(bundle.leaf) == sha256), None)

    def offer(self, row: Enrolment, obtained: Obtained, now: int) -> bool:
        with self._tables.lock:
            present = self._tables.certs.get(row.name)
            if not row.unapproved or present is None or (present.csr, present.unapproved) != (row.csr, row.unapproved):
                return False
            self._tables.old_pairs[row.name] = (present.crt, present.ca)
            self._tables.unapproved.discard(fingerprint(obtained.bundle.leaf))
            statement = self._sign(row.name, obtained.bundle, present.statement, now, older=False)
            self._tables.certs[row.name] = _renewed(present, obtained, statement, now)
            return True


class MemoryHolds:
    """A HoldStore."""

    def __init__(self, tables: Tables):
        self._tables = tables

    def until(self, account: str, name: str, now: int, *, goes_on: bool = False) -> tuple[int, Failure] | None:
        scopes = [name] if goes_on else [ACCOUNT, name]
        longest = {ACCOUNT: LONGEST_HOLD, name: LONGEST_HOLD_ON_NAME}
        found = [(hold, longest[scope]) for scope in scopes if (hold := self._tables.holds.get((account, scope)))]
        in_force = [hold for hold, most in found if believable(hold[0], now, most)]
        return max(in_force, key=lambda hold: hold[0], default=None)

    def add(self, account: str, scope: str, until: int, failure: Failure, now: int) -> None:
        with self._tables.lock:
            kept = {key: hold for key, hold in self._tables.holds.items() if hold[0] > now}
            self._tables.holds = kept | {(account, scope): (until, Failure(failure.sentence))}
