"""status NAME: one certificate in full, from every table. Only reads the database."""

from typing import Any

from common.clock import duration_text, utc_text
from common.command_line import table
from issuer.commands.change import way_fields, way_words
from issuer.commands.hosts import Standings, lines_of
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, Leaf
from issuer.model.watch import mute_words
from issuer.store.database import Database
from issuer.store.history import History
from issuer.store.overview import OrderUnderWay, Overview

_LATEST_EVENTS = 5


class Particulars:
    """All that the list leaves out, as --json shows it, at *now* (epoch seconds). Raises StoreError."""

    def __init__(self, database: Database, now: int, standings: Standings):
        self._standings = standings
        self._overview = Overview(database)
        self._history = History(database)
        self._now = now

    def of(self, row: Enrolment) -> dict[str, Any]:
        """The facts of *row*, by their names in --json. Raises StoreError."""
        versions, count = self._history.versions(row.name), self._history.count(row.name)
        order = self._overview.order(row.name)
        present = row.fingerprint
        serials = {version.sha256: version.serial for version in versions}
        number = count - [version.sha256 for version in versions].index(present) if present in serials else None
        return {
            **way_fields(row),
            **({"validated_by": None} if row.imported else {}),
            **_key(row),
            "sha256": present or None,
            "version": number,
            "versions": count,
            "directory": row.directory or None,
            "last_reference": row.failure.reference or None if row.failure else None,
            "order": self._order(order) if order else None,
            "muted": self._mute(row),
            "contact": row.watch.contact or None,
            "how_to_renew": row.watch.renewal_note or None,
            **self._standings.in_full(row, present, serials),
            "events": [event.fields for event in self._history.events(row.name, _LATEST_EVENTS)],
        }

    def _mute(self, row: Enrolment) -> dict[str, Any] | None:
        """The mute of *row* for --json; None where nothing is muted now."""
        muted = {"replacing": row.watch.keeps(self._now), "mails": row.watch.silent(self._now)}
        return {"until": utc_text(row.watch.muted_until), **muted} if any(muted.values()) else None

    def _order(self, order: OrderUnderWay) -> dict[str, Any]:
        leased = order.leased(self._now)
        return {
            "state": order.state,
            "since": utc_text(order.updated_at),
            "opened": utc_text(order.created_at),
            "directory": order.directory,
            "url": order.url or None,
            "by_hand": order.is_by_hand(self._now),
            "leased_to": order.lease_owner if leased else None,
            "leased_until": utc_text(order.lease_until) if leased else None,
        }


def in_full(fact: dict[str, Any], held: str, failure: Failure | None) -> list[str]:
    """*fact* with what :class:`Particulars` adds, for people, a line for each. *held*: the sentence about a hold,
    or ""; *failure*: that of the last attempt."""
    lines = [f"{fact['name']}: {fact['state']}"]
    lines += [f"  {word:<14}{text}" for word, text in _lines(fact, held, failure) if text]
    hosts = lines_of(fact)
    lines += ["", *(f"  {line}" for line in hosts)] if hosts else []
    rows = [[event["at"], event["event"], event["detail"]] for event in fact["events"]]
    events = table([f"LATEST {_LATEST_EVENTS} EVENTS", "", ""], rows)
    return [*lines, "", *(f"  {line}" for line in events)]


def _approval_words(fact: dict[str, Any]) -> str:
    until = fact["awaits_approval_until"]
    return f"a certificate from another CA waits for `approve`, until {until} at the latest" if until else ""


def _lines(fact: dict[str, Any], held: str, failure: Failure | None) -> list[tuple[str, str]]:
    left, order, attempt, mute = (fact[each] for each in ("valid_for_seconds", "order", "attempt", "muted"))
    number = f", version {fact['version']} of {fact['versions']}" if fact["version"] else ""
    valid = "" if left is None else f"{fact['valid_until']} ({duration_text(left)} left)"
    lease = f", leased to {order['leased_to']} until {order['leased_until']}" if order and order["leased_to"] else ""
    muted = f"until {mute['until']} {mute_words(replacing=mute['replacing'], mails=mute['mails'])}" if mute else ""
    return [
        ("names", ", ".join(fact["names"] or fact["csr_names"])),
        ("validated by", way_words(fact) if fact["validated_by"] else "nobody: imported"),
        ("key", f"{fact['key_type']}, SHA-256 {fact['key_sha256']}" if fact["key_type"] else ""),
        ("serial", f"{fact['serial']}{number}" if fact["serial"] else ""),
        ("issuer", fact["issuer"] or ""),
        ("from", fact["directory"] or ""),
        ("stored", fact["last_update"] or ""),
        ("valid until", valid if left is None or left > 0 else f"{fact['valid_until']} (expired)"),
        ("next attempt", f"{attempt['words']}: {attempt['why']}"),
        ("held", held),
        ("approval", _approval_words(fact)),
        ("order", f"{order['state']} since {order['since']} at {order['directory']}{lease}" if order else ""),
        ("not sealed", "; ".join(fact["not_sealed"])),
        ("lacking", f"{', '.join(fact['lacking'])}, which its CSR has" if fact["lacking"] else ""),
        *_change_lines(fact["change"]),
        ("muted", muted),
        ("contact", fact["contact"] or ""),
        ("how to renew", fact["how_to_renew"] or ""),
        ("failures", f"{fact['failures']} in a row" if fact["failures"] else ""),
        *([("last error", f"{failure.reference or 'unknown'}: {failure}"), *failure.advice] if failure else []),
    ]


def _change_lines(change: dict[str, Any] | None) -> list[tuple[str, str]]:
    if change is None:
        return []
    coming = f"next attempt {change['next']}" if change["next"] else "not tried yet"
    return [
        ("change", f"waits for a certificate, {coming}"),
        ("new names", ", ".join(change["names"])),
        ("validated by", way_words(change)),
        ("new key", f"{change['key_type']}, SHA-256 {change['key_sha256']}" if change["key_type"] else ""),
        ("failures", f"{change['failures']} in a row of the change" if change["failures"] else ""),
        ("change error", change["last_error"] or ""),
    ]


def _key(row: Enrolment) -> dict[str, Any]:
    """The key of the CSR; that of the certificate if there is no sound CSR."""
    csr, leaf = row.request, row.present
    if not isinstance(csr, Damaged):
        return {"key_type": csr.key_type, "key_sha256": csr.spki_sha256, "csr_names": list(csr.names)}
    if not isinstance(leaf, Leaf):
        return {"key_type": None, "key_sha256": None, "csr_names": []}
    return {"key_type": leaf.key_type or "unknown", "key_sha256": leaf.spki_sha256, "csr_names": []}
