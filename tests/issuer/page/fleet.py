"""A fleet in a database as years leave it: most certificates well, some in each kind of trouble."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from common.certificate import leaf_fingerprint
from issuer.model.config import DatabaseSettings, RenewalSettings
from issuer.rules.renewal import renewal_moment
from issuer.store.database import Database
from issuer.store.tables import certs, events, installations
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

DAY = 86400
DIRECTORIES = (
    *["https://acme-v02.api.letsencrypt.org/directory"] * 7,
    *["https://acme.zerossl.com/v2/DV90"] * 2,
    "https://ca.intern.example/acme/acme/directory",
)
_KINDS = ("www", "mail", "imap", "smtp", "ldap", "git", "shop", "api", "vpn", "db", "radius", "cloud")
_REFUSED = {
    "last_what": "the CA could not validate {}",
    "last_why": "DNS problem: SERVFAIL looking up TXT for _acme-challenge.{}",
    "last_hint": "ask each name server of the sub-zone with `certfleet-issuer check {}`",
    "last_reference": "dns",
}
_LATE = {
    "last_what": "ns2.example.net does not show the answer",
    "last_why": "it is 14 minutes behind",
    "last_hint": "look whether its zone transfers work",
    "last_reference": "dns-propagation",
}


def name_of(number: int) -> str:
    """The name of the certificate with that number."""
    return f"{_KINDS[number % len(_KINDS)]}{number // len(_KINDS) + 1}.example.test"


def fill(box: Box, count: int, *, more: Sequence[dict[str, object]] = ()) -> None:
    """*count* certificates, with hosts that report and a history; *more* columns of the first ones."""
    made = Database(DatabaseSettings(box.database.url, box.database.password_file, box.database.tls_ca))
    now, issuing = int(time.time()), Authority("Example Root").intermediate("Example Issuing R10")
    rows = [_row(number, now, issuing) | (dict(more[number]) if number < len(more) else {}) for number in range(count)]
    reports = [one for number, row in enumerate(rows) for one in _reports(number, row, now)]
    past = [_past(number, str(row["name"]), now) for number, row in reversed(list(enumerate(rows[:40])))]

    def work(connection: sa.Connection) -> None:
        for table, values in ((certs, rows), (installations, reports), (events, past)):
            for start in range(0, len(values), 500):
                connection.execute(table.insert(), values[start : start + 500])

    made.write(work)
    made.close()
    box.ok("adopt", "--all", "--yes")


def _row(number: int, now: int, issuing: Authority) -> dict[str, object]:
    name = name_of(number)
    names = [name, *(f"{word}.{name}" for word in ("static", "m", "old")[: number % 4])] if number % 3 == 0 else [name]
    age = (number * 7919) % (58 * DAY) + 3600  # of 90 days, of which a third is left for the renewal
    begin = datetime.fromtimestamp(now - age, UTC)
    request = csr(names)
    issued = issuing.sign(request, days=90, not_before=begin)
    ends = now - age + 90 * DAY
    row: dict[str, object] = {
        "name": name,
        "enable": "Y" if number % 29 != 11 else "N",
        "comment": "customer 4711, ask Ms. Weber" if number % 13 == 4 else None,
        "certbot": "N",
        "csr": request,
        "crt": issued.cert_pem,
        "ca": issued.chain_pem,
        "ts_expire": ends,
        "ts_last_update": now - age,
        "count_fail_update": 0,
        "directory": DIRECTORIES[number % len(DIRECTORIES)],
        "due_at": renewal_moment(name, now - age, ends, RenewalSettings()),
    }
    for key in _REFUSED:
        row[key] = None
    trouble = _REFUSED if number % 97 == 3 else _LATE if number % 331 == 5 else None
    if trouble is not None:
        row |= {key: value.format(name) for key, value in trouble.items()}
        row |= {"count_fail_update": 12 if number % 4 == 0 else 2, "due_at": now + 1800}
    row["last_error"] = None if trouble is None else f"{row['last_what']}: {row['last_why']} ({row['last_hint']})"
    return row


def _reports(number: int, row: dict[str, object], now: int) -> list[dict[str, object]]:
    certificate = row["crt"]
    assert isinstance(certificate, bytes)
    present = leaf_fingerprint(certificate)
    told = []
    for host in range(number % 3):
        late = number % 211 == 1
        told.append(
            {
                "name": row["name"],
                "host": f"web{number % 17 + 1}{'ab'[host]}.example.test",
                "account": "agent",
                "sha256": present if not late else "0" * 64,
                "not_after": row["ts_expire"],
                "state": "failed" if number % 173 == 2 else "installed",
                "detail": "nginx -t: no such file /etc/ssl/dhparam.pem" if number % 173 == 2 else "",
                "ts_report": now - (9 * DAY if number % 401 == 8 else 3600),
            }
        )
    return told


def _past(number: int, name: str, now: int) -> dict[str, object]:
    event = {"at": now - number * 7000, "name": name, "event": "stored", "detail": f"serial 03AF{number:04X}"}
    if number % 5 == 3:
        said = f"the CA could not validate {name}: DNS problem: SERVFAIL looking up TXT for _acme-challenge.{name}"
        event |= {"event": "failed", "detail": said}
    return event
