"""status: the list, one certificate in full, what is held up, and names that are nearly right."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import certificate
from common.certificate import fingerprint, parse_bundle, serial_text
from common.clock import utc_text
from common.config_file import load
from issuer.ca.account import account_id, load_account_key
from issuer.model.config import Settings
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME = "www.example.test"
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
LIMIT = "too many new orders"


@pytest.fixture
def stored(lone_box: Box) -> Box:
    """A box with one enabled certificate, 90 days of life of which 60 are left, which was imported over its CSR."""
    lone_box.populate(NAME, "mail.example.test")
    lone_box.ok("disable", NAME)
    store(lone_box, age=30)
    lone_box.database.execute(f"UPDATE certs SET imported = NULL, directory = '{DIRECTORY}', due_at = NULL")  # noqa: S608
    lone_box.ok("adopt", NAME, "--yes")
    lone_box.ok("enable", NAME)
    return lone_box


def store(box: Box, *, age: float) -> None:
    issuing = Authority("Test CA").intermediate("Test Issuing")
    begin = datetime.now(UTC) - timedelta(days=age)
    issued = issuing.sign(csr([NAME, "mail.example.test"]), days=90, not_before=begin)
    file = box.folder / "given.pem"
    file.write_bytes(issued.fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))


def hold(box: Box, scope: str, seconds: int, *, directory: str = DIRECTORY) -> int:
    """The CA has named a moment, as `run` would keep it; that moment."""
    until = int(time.time()) + seconds
    account = account_id(directory, load_account_key(box.state_dir / "account.pem"))
    box.database.execute(f"INSERT INTO holds VALUES ('{account}', '{scope}', {until}, '{LIMIT}')")  # noqa: S608
    return until


REPORT = "name, host, account, sha256, not_after, state, detail, ts_report"


def in_full(box: Box) -> dict[str, Any]:
    [fact] = box.run("status", NAME, "--json").report()["certificates"]
    return dict(fact)


def test_one_certificate_in_full(stored: Box) -> None:
    """Names, key, version, end, the next attempt with its reason, what hosts report, and the latest events."""
    first = parse_bundle(bytes(stored.row(NAME, "crt")[0])).leaf
    stored.ok("disable", NAME)
    store(stored, age=0.9)
    stored.database.execute("UPDATE certs SET imported = NULL, due_at = NULL")
    stored.ok("adopt", NAME, "--yes")
    stored.ok("enable", NAME)
    present = parse_bundle(bytes(stored.row(NAME, "crt")[0])).leaf
    now = int(time.time())
    for host, sha256, state, detail in (
        ("web1", fingerprint(present), "installed", ""),
        ("web2", fingerprint(first), "failed", "nginx -t says\n\x1b[2Jno"),
        ("web3", "00" * 32, "installed", ""),
    ):
        values = f"('{NAME}', '{host}', 'agent-{host}', '{sha256}', 0, '{state}', '{detail}', {now})"
        stored.database.execute(f"INSERT INTO installations ({REPORT}) VALUES {values}")  # noqa: S608
    text = stored.fails("status", NAME, says=[]).out
    for words in (
        f"{NAME}: valid, 1 host not well\n",
        f"names         mail.example.test, {NAME}\n",
        "validated by  dns-01\n",
        "key           ecdsa-p256, SHA-256 ",
        f"serial        {serial_text(present)}, version 2 of 2\n",
        "issuer        Test Issuing\n",
        "(89d left)\n",
        "33.3 % of its lifetime left (fraction_left)\n",
        "web1  installed  the present one  ",
        f"web2  failed     serial {serial_text(first)}",
        "web3  installed  unknown here",
        "web2: nginx -t says\\n\\x1b[2Jno\n",
        "LATEST 5 EVENTS\n",
        "  enabled\n",
        f"  imported  serial {serial_text(present)}\n",
    ):
        assert words in text, f"{words!r} is not in\n{text}"
    assert "order" not in text
    assert "last error" not in text
    fact = in_full(stored)
    assert (fact["key_type"], fact["version"], fact["versions"], fact["order"]) == ("ecdsa-p256", 2, 2, None)
    assert [(each["host"], each["present"]) for each in fact["installations"]] == [
        ("web2", False),  # the worst first: not well, waiting, current
        ("web3", False),
        ("web1", True),
    ]
    assert len(fact["events"]) == 5


def test_hosts_that_do_not_serve_it_count(stored: Box) -> None:
    """The list says how many and ends with 1; not for one that is disabled, nor for words that say that all is well, or
    that are a month old."""

    def report(host: str, state: str, days: int = 0) -> None:
        at = int(time.time()) - days * 86400
        stored.database.execute(
            f"REPLACE INTO installations ({REPORT}) VALUES ('{NAME}', '{host}', '', '', 0, '{state}', '', {at})"  # noqa: S608
        )

    report("web9", "failed", days=31)

    for state in ("installed", "unprovable", "waiting"):
        report("web1", state)
        stored.ok("status")
    bad = ("broken", "ending", "expired", "failed", "incomplete", "refused", "unproven")
    for number, state in enumerate(bad, 1):
        report(f"web{number}", state)
        outcome = stored.fails("status", says=[f"valid, {number} host{'' if number == 1 else 's'} not well"])
        assert outcome.out.count("not well") == 1
    [fact] = stored.run("status", "--json").report()["certificates"]
    assert (fact["well"], fact["hosts_not_well"]) == (False, len(bad))
    stored.ok("disable", NAME)
    assert "not well" not in stored.ok("status").out


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("change", "renewal", "why"),
    [
        ("", "", "33.3 % of its lifetime left (fraction_left)"),
        ("", "days_left", "days_left = 45"),
        ("ari_at = {soon}, ari_window = '1-2'", "", "the window that the CA suggests (ARI)"),
        ("ari_at = {late}, ari_window = '1-2'", "", "5 % of its lifetime left, whatever the CA says"),
        ("ari_at = {late}, ari_window = '1-2'", "days_left", "days_left = 45"),
        ("count_fail_update = 2, last_error = 'no', due_at = {soon}", "", "retry after failure 2"),
        (
            "count_fail_update = 3, last_error = 'no', due_at = {soon}, reissue_reason = 'x'",
            "",
            "retry after failure 3",
        ),
        ("reissue_reason = 'reissue asked for by hand'", "", "reissue asked for by hand"),
        ("enable = 'N'", "", "none: disabled"),
        ("imported = 'Y'", "", "none: imported, so never renewed by ACME"),
        ("crt = 'damaged'", "", "the stored certificate cannot be parsed"),
        ("crt = NULL", "", "first certificate"),
        ("due_at = {late}", "days_left", "put off until then; wanted since"),
    ],
)
def test_the_next_attempt_and_why_then(stored: Box, change: str, renewal: str, why: str) -> None:
    """Each rule that may decide about the moment is named when it does."""
    if renewal:
        stored.write(renewal={"days_left": 45 if "late" not in change or "ari" in change else 65})
    now = int(time.time())
    if change:
        given = change.format(soon=now + 3600, late=now + 59 * 86400)
        stored.database.execute(f"UPDATE certs SET {given}")  # noqa: S608
    outcome = stored.run("status", NAME)
    [line] = [line for line in outcome.out.splitlines() if line.startswith("  next attempt")]
    assert why in line


def test_what_was_shown_is_what_a_run_saves(stored: Box) -> None:
    """The moment in the full view is the one that `run` works out and keeps; the list shows the same one, not that of a
    question for renewal information before."""
    shown = in_full(stored)["attempt"]["at"]
    assert stored.ok("status", "--json").report()["certificates"][0]["next"] == shown
    stored.database.execute("UPDATE certs SET ari_ask_at = NULL, directory = 'known'")
    stored.ok("run")
    assert utc_text(stored.row(NAME, "due_at")[0]) == shown


def test_a_held_account_shows_on_what_waits_for_it(stored: Box) -> None:
    """Due and held: said with moment, CA and reason, exit code 1. Not due before that moment: valid."""
    until = hold(stored, "*", 3600)
    assert stored.ok("status").out.splitlines()[1].split()[:2] == [NAME, "valid"]
    stored.write(renewal={"days_left": 80})
    outcome = stored.fails(
        "status", says=["held", utc_text(until), f"every new order: held until {utc_text(until)} by"]
    )
    assert f"{DIRECTORY}: {LIMIT}" in outcome.out
    fact = in_full(stored)
    assert (fact["state"], fact["well"], fact["held_until"], fact["held_because"]) == (
        "held",
        False,
        utc_text(until),
        LIMIT,
    )
    stored.fails(
        "status", NAME, says=[f"{NAME}: held", f"held          until {utc_text(until)} by {DIRECTORY}: {LIMIT}"]
    )
    stored.ok("disable", NAME)
    assert "held" not in stored.ok("status").out


@pytest.mark.parametrize(("scope", "directory", "held"), [(NAME, DIRECTORY, True), ("other.test", DIRECTORY, False)])
def test_a_hold_concerns_its_certificate_and_account_only(stored: Box, scope: str, directory: str, held: bool) -> None:
    """One on another name holds nothing here; nor does one of another CA, unless our account cannot be told."""
    stored.write(renewal={"days_left": 80})
    hold(stored, scope, 3600, directory=directory)
    assert in_full(stored)["state"] == ("held" if held else "valid")
    stored.database.execute("DELETE FROM holds")
    hold(stored, "*", 3600, directory="https://other.example/directory")
    assert in_full(stored)["state"] == "valid"
    (stored.state_dir / "account.pem").unlink()
    assert in_full(stored)["state"] == "held"


def test_rolled_back_shows_as_such(stored: Box) -> None:
    """Older on purpose is valid, and said."""
    stored.database.execute("UPDATE certs SET rolled_back = 'ab'")
    assert "valid, rolled back" in stored.ok("status").out
    assert in_full(stored)["rolled_back"] is True


def test_an_order_under_way_shows_with_state_and_lease(stored: Box) -> None:
    """Since when, at which CA, who has it; and when it is in a person's hands."""
    now = int(time.time())
    values = (
        f"('{NAME}', '{NAME}', 'PUBLISHED', '{DIRECTORY}', 'by hand', {now + 500}, 'host/1', {now + 600}, {now}, {now})"
    )
    columns = "name, active_name, state, directory, reason, deadline, lease_owner, lease_until, created_at, updated_at"
    stored.database.execute(f"INSERT INTO orders ({columns}) VALUES {values}")  # noqa: S608
    text = stored.ok("status", NAME).out
    lease = f"leased to host/1 until {utc_text(now + 600)}"
    assert f"order         PUBLISHED since {utc_text(now)} at {DIRECTORY}, {lease}\n" in text
    assert f"next attempt  the first run after {utc_text(now + 500)}: a person issues it by hand" in text
    stored.database.execute("UPDATE certs SET due_at = 1")
    assert f"  by hand until {utc_text(now + 500)}  0" in stored.ok("status").out
    stored.database.execute("UPDATE orders SET reason = 'renewal', lease_until = 1")
    order = in_full(stored)["order"]
    assert (order["by_hand"], order["leased_to"], order["state"]) == (False, None, "PUBLISHED")


def test_several_names_each_in_full_and_an_error_with_its_kind(stored: Box) -> None:
    """One block a name; the last error has its kind, by which docs/trouble.md can be searched."""
    stored.populate("api.example.test")
    error = "it was refused (mend it)\nerror: fake"
    stored.database.execute(
        f"UPDATE certs SET last_error = '{error}', last_reference = 'dns-refused', count_fail_update = 12"  # noqa: S608
    )
    outcome = stored.fails("status", NAME, "api.example.test", says=["\n\napi.example.test: stuck\n"])
    assert "last error    dns-refused: it was refused (mend it)\\nerror: fake\n" in outcome.out
    assert "failures      12 in a row\n" in outcome.out


def test_printed_commands_can_be_pasted(lone_box: Box) -> None:
    """A shell would take the star of a wildcard for files."""
    printed = lone_box.ok("populate", "*.example.test", "--csr", "-", stdin=csr(["*.example.test"])).out
    assert "`certfleet-issuer enable '*.example.test'`" in printed


@pytest.mark.sampled
@pytest.mark.parametrize("words", [["status"], ["enable"], ["issue"], ["history"], ["remove", "--yes"]], ids=" ".join)
@pytest.mark.parametrize("typed", ["ww.example.test", "WWW.example.test", "www.exampel.test"])
def test_a_name_that_is_nearly_right(lone_box: Box, words: list[str], typed: str) -> None:
    """The enrolled name that was probably meant is suggested."""
    lone_box.populate(NAME)
    lone_box.refused(*words, typed, code=2, says=[f"not enrolled: {typed}", f"did you mean {NAME}?"])
    outcome = lone_box.refused(*words, "something.else.test", code=2, says=["not enrolled", "populate NAME"])
    assert "did you mean" not in outcome.err


def test_the_list_goes_through_many_without_parsing_them(stored: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many portions it takes, each is listed once, what is due first, then by name; and no certificate is
    parsed for its line."""
    parsed = []
    parse = certificate.load_certificates

    def watched(pem_text: bytes) -> list[Any]:
        parsed.append(pem_text)
        return parse(pem_text)

    due_at = int(time.time()) + 3600
    columns = "enable, csr, crt, ts_expire, count_fail_update, directory"
    stored.database.execute(f"""
        INSERT INTO certs (name, due_at, {columns})
        WITH RECURSIVE numbers(n) AS (VALUES (10) UNION ALL SELECT n + 1 FROM numbers WHERE n < 30)
        SELECT 'host' || n, {due_at}, {columns} FROM certs, numbers""")  # noqa: S608
    stored.ok("adopt", "--all", "--yes")
    stored.ok("status")  # remembers the statements that it has not seen yet, with the dates of their certificates
    monkeypatch.setattr(certificate, "load_certificates", watched)
    lines = stored.ok("status").out.splitlines()
    hosts = [f"host{number}" for number in range(10, 31)]
    assert [line.split()[0] for line in lines] == ["NAME", NAME, *hosts]
    assert parsed == []
    rows = Certificates(Database(load(Settings, stored.config).database), portion=4)
    assert [row.name for row in rows.all()] == [*hosts, NAME]


@pytest.mark.parametrize("more", ["", ", imported = 'Y'", ", ari_at = 9999999999, ari_ask_at = 9999999999"])
@pytest.mark.parametrize(("left", "state"), [(-1, "expired"), (1.5, "ends soon")])
def test_no_column_hides_an_end(lone_box: Box, left: float, state: str, more: str) -> None:
    """Whoever sets every moment of a row far ahead hides nothing: the certificate itself says when it ends."""
    lone_box.populate(NAME)
    lone_box.put_aged(NAME, days=90, left=left)
    calm = "ts_expire = 9999999999, due_at = 9999999999, count_fail_update = 0, last_error = NULL"
    lone_box.database.execute(f"UPDATE certs SET {calm}{more}")  # noqa: S608
    if "imported" in more and state != "expired":
        state = "not sealed"
    lone_box.fails("status", says=[f"{NAME}  {state}  "])
    assert in_full(lone_box)["state"] == state


def test_a_foreign_certificate_in_the_row_is_told(stored: Box) -> None:
    """Another certificate in the place of ours is no valid one, however long it lives, nor is one that is garbage."""
    foreign = Authority("His CA").issue([NAME, "mail.example.test"], days=3000).cert_pem.hex()
    stored.ok("status")
    stored.database.execute(f"UPDATE certs SET crt = X'{foreign}', due_at = 9999999999, directory = NULL")  # noqa: S608
    stored.fails("status", says=["wrong key", "another key than that of its CSR", f"`issue {NAME}`"])
    told = stored.fails("run", NAME, says=[f"warning: {NAME}: the present certificate is for another key"])
    assert "stored" not in told.out
    stored.database.execute("UPDATE certs SET crt = 'garbage', ts_expire = 9999999999")
    stored.fails("status", says=["damaged", "cannot be read"])
