"""A thief who may write every table of a database server: what the issuer makes of it. It reads SQLite by the same
statements, and tests/issuer/contracts/ holds what they read to the same promises on each engine."""

import re
import time

from issuer.model.orders import OrderRecord, OrderState
from issuer.trust.seals import Seals, order_text
from tests.common.der_by_hand import diffie_hellman, request
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.silent import Silent
from tests.trust.conftest import HIS, NAME, OTHER, STOLEN
from tests.trust.siege import NOW, Siege, octets
from tests.trust.thief import Thief

FAR = "9999999999"
FRESH = "new.example.test"  # enrolled, and never issued
NEW = {"enable": "'Y'", "ts_expire": "1", "ts_last_update": "1", **NOW}


def his_csr(*names: str) -> str:
    return octets(csr(names or (NAME,), number=STOLEN))


def seal_of(name: str) -> str:
    return f"(SELECT seal FROM kept WHERE name = '{name}')"  # noqa: S608


def seal_of_an_order(box: Box) -> str:
    """He read it while the order was under way, and knows the form of what it covers."""
    order = OrderRecord(1, NAME, OrderState.ORDERED, "https://ca.example/", 1)
    return f"'{Seals(box.state_dir).of_order(order)} {order_text(order)}'"


def test_the_database_as_the_issuer_reads_it(siege: Siege) -> None:
    """It carries, and does not decide what is ordered."""
    thief, row, insert = Thief("The database, as the issuer reads it"), siege.row, siege.insert
    got = siege.gets(lambda: row(csr=his_csr(), **NOW), "has another key than the one that was enrolled")
    thief.tries("a certificate for his own key, by his CSR in a row", got=got)
    got = siege.gets(lambda: row(csr=his_csr(NAME, HIS), **NOW), "another key", "other names than those")
    got |= siege.gets(lambda: row(csr=his_csr(), seal=seal_of(OTHER), **NOW), "that of another row")
    got |= siege.gets(lambda: row(csr=his_csr(), seal="'x y z'", **NOW), "made with another seal key")
    got |= siege.gets(lambda: row(csr=his_csr(), seal="NULL", **NOW), "it has no seal")
    got |= siege.gets(lambda: row(change_csr=his_csr(), change_due_at="0"), "it has no seal")
    got |= siege.gets(
        lambda: row(csr=his_csr(), seal=seal_of_an_order(siege.box), **NOW), "of something else than a row"
    )
    what = "the same with the seal of another row or of an order, with one of his own, without one, as a change"
    thief.tries(what, got=got)

    got = siege.gets(
        lambda: insert(name=f"'{HIS}'", csr=his_csr(HIS), **NEW),
        f"{HIS} is not what an operator enrolled",
        "has no seal",
    )
    forged = {"name": f"'{HIS}'", "csr": his_csr(HIS), "seal": seal_of(NAME)}
    got |= siege.gets(lambda: insert(**forged, **NEW), "that of another row")
    thief.tries("a certificate for a name that nobody enrolled, by a row of his own", got=got)
    got = siege.gets(
        lambda: insert(name="'harmless'", csr=his_csr(HIS), **NEW), "harmless is not what an operator enrolled"
    )
    thief.tries("the same by a row whose name is another one", got=got)

    way = "validated in another way than was enrolled"
    got = siege.gets(lambda: row(validations="'* http-01'", **NOW), way)
    got |= siege.gets(lambda: row(certbot="'Y'", webroot_path=f"'{siege.root}'", **NOW), way)
    thief.tries("another way of validation, or files in a folder that he names", got=got or siege.root.exists())

    siege.keep("earlier")
    siege.box.ok("populate", "--replace", NAME, "--csr", "-", stdin=csr([NAME], number=1))
    siege.box.ok("run")
    siege.keep()
    got = siege.gets(lambda: siege.put_back("earlier", **NOW), "older than the last one")
    thief.tries("a certificate for an earlier CSR, put back with its seal", got=got)
    thief.is_told()


def test_what_a_thief_in_the_database_hides(siege: Siege) -> None:
    """State and health are those of the certificate itself and of what this issuer remembers."""
    thief, row, box = Thief("The database, to hide something"), siege.row, siege.box
    got = siege.gets(lambda: siege.sql(f"DELETE FROM certs WHERE name = '{NAME}'"), "is gone without `remove`")  # noqa: S608
    thief.tries("a row that vanishes unnoticed", got=got)
    foreign = "is not the last one that an issuer signed"
    theirs = Authority("Root").sign(csr([NAME], number=STOLEN)).cert_pem
    got = siege.gets(lambda: row(crt=octets(theirs), statement="NULL"), foreign)
    own = Authority("Root").sign(bytes(box.row(NAME, "csr")[0])).cert_pem
    got |= siege.gets(lambda: row(crt=octets(own), ts_expire=FAR), foreign)
    siege.keep("earlier")
    box.ok("reissue", NAME)
    siege.keep()
    got |= siege.gets(lambda: siege.put_back("earlier"), foreign)
    thief.tries("a certificate of his own in the row, one of another CA for our key, or an earlier one", got=got)
    box.populate(FRESH)
    first = Authority("Root").sign(bytes(box.row(FRESH, "csr")[0]), days=3650).cert_pem
    row(FRESH, crt=octets(first), ts_expire=FAR, directory="'https://ca.example/'", due_at=FAR)
    told = box.run("run")
    thief.tries("the same in a row that has none yet", got=not (told.code == 1 and f"{FRESH}: not signed" in told.err))
    box.ok("remove", FRESH, "--yes")

    siege.box.put_aged(NAME, days=90, left=1)
    row(ts_expire=FAR, due_at=FAR)
    hidden = "ends soon" not in box.fails("status", says=[NAME]).out
    orders = siege.ordered(NAME)
    siege.comes()
    box.ok("run")
    got = hidden or siege.ordered(NAME) == orders
    siege.box.put_aged(NAME, days=90, left=1)
    row(due_at=str(int(time.time()) + 80_000))  # as a retry or a hold would wait; he writes it anew each day
    orders = siege.ordered(NAME)
    siege.comes()
    box.ok("run")
    got |= siege.ordered(NAME) == orders
    siege.keep()
    thief.tries("the end of a certificate, or its renewal, by moments in the row", got=got)
    passes = "differs from what was enrolled in whether it is imported"
    got = siege.gets(lambda: row(imported="'Y'", ts_expire=FAR, due_at=FAR), passes)
    thief.tries("the same by a row that passes for imported", got=got)
    thief.is_told()


def test_what_a_thief_in_the_database_withholds(siege: Siege) -> None:
    """He can keep certificates and mail back; exit codes, `status` and what the issuer says itself tell it."""
    thief, row, box, smtp = Thief("The database, to withhold something"), siege.row, siege.box, siege.smtp
    siege.box.put_aged(NAME, days=90, left=1)
    muted = {"mute": "'replacing mails'", "mute_until": str(int(time.time()) + 399 * 86400)}
    row(enable="'N'", ts_expire=FAR, due_at=FAR, **muted)
    orders, letters = siege.ordered(NAME), len(smtp.letters)
    siege.comes()
    assert "warning: www.example.test: it is disabled" in box.ok("run").err
    box.ok("run")
    [letter] = smtp.letters[letters:]
    assert "disabled, ends soon" in box.ok("status").out
    thief.tries("that a certificate is not renewed, by disabling it", got=siege.ordered(NAME) == orders)
    thief.tries("the same unheard, by muting it too", got="is disabled and due" not in letter.subject)
    row(enable="'Y'", mute="NULL", mute_until="NULL", **NOW)
    box.ok("run")
    siege.keep()

    siege.sql(f"INSERT INTO alarms (name, kind, since) VALUES ('{NAME}', 'unsealed', 1)")  # noqa: S608
    letters = len(smtp.letters)
    row(csr=his_csr(), **NOW)
    box.fails("run", says=["not ordered", "another key"])
    thief.tries("that no mail tells what he did, by rows about mail", got=len(smtp.letters) == letters)
    siege.put_back()
    until = int(time.time()) + 43200
    [account] = box.row(NAME, "account")
    siege.sql(f"INSERT INTO holds (account, scope, until, reason) VALUES ('{account}', '*', {until}, 'x')")  # noqa: S608
    row(**NOW)
    orders = siege.ordered(NAME)
    box.fails("run", says=["held by a limit of the CA"])
    thief.tries(
        "that nothing is ordered for a day, again and again, by limits of the CA", got=siege.ordered(NAME) == orders
    )
    seen = int(time.time())
    for address, moment in (("192.0.2.66", seen), ("192.0.2.99", FAR)):
        siege.sql(f"INSERT INTO egress VALUES ('localhost', '{address}', 1, {moment}, 60)")  # noqa: S608
    listed = box.run("egress", "--watch", "--format", "plain").out.splitlines()
    thief.tries("an address of his in the list for a firewall, by the table `egress`", got="192.0.2.66" in listed)
    kept = [address for (address,) in box.database.query("SELECT address FROM egress")]
    got = "192.0.2.99" in kept or "127.0.0.1" not in kept
    thief.tries("the end of the addresses that were seen, by moments ahead", got=got)
    thief.is_told()


def test_what_a_thief_in_the_database_holds_up(siege: Siege) -> None:
    """Orders under way that nobody began lead to a server that takes every call and says nothing."""
    thief, box = Thief("The database, to hold up a run"), siege.box
    directory, now = box.document["acme"]["directory"], int(time.time())
    columns = "name, active_name, state, directory, url, reason, names, deadline, created_at, updated_at"
    with Silent() as silent:
        for number in range(40):
            url = f"https://127.0.0.1:{silent.port}/{number}"
            what = f"'n{number}', 'n{number}', 'ORDERED', '{directory}', '{url}', 'renewal', 'x'"
            siege.sql(f"INSERT INTO orders ({columns}) VALUES ({what}, {now + 99}, {now}, {now})")  # noqa: S608
        siege.row(**NOW)
        others = siege.ordered(NAME)
        with box.timed(sweep_seconds=1):
            told = box.fails("run", says=["order not ours"]).err
    thief.tries("that a run waits for one planted order after the other", got=silent.calls > 1)
    thief.tries("that another certificate is not renewed meanwhile", got=siege.ordered(NAME) == others)
    thief.tries("a line in the log for each planted order", got=told.count("order.planted") >= 40)
    thief.tries("a line for each row that he adds", got=_crowd(siege) > 20)
    siege.row(csr=octets(request(diffie_hellman())))
    began = time.process_time()
    box.fails("status", says=["not sealed"])
    got = time.process_time() - began > 5  # it takes some tenths of a second, and to prove that prime several seconds
    thief.tries("that nothing goes on for hours, by a key of huge primes in a cell", got=got)
    thief.is_told()


def _crowd(siege: Siege) -> int:
    """How many of a hundred rows that he adds are named in one place? The good row goes on, and one mail has the
    count."""
    box, says = siege.box, "100 rows of the table were enrolled by nobody"
    _rows_of_nobody(siege, 100)
    siege.row(**NOW)
    others, letters = siege.ordered(NAME), len(siege.smtp.letters)
    run, found, status = box.fails("run", says=[says]), box.run("status", "--json").report(), box.run("status")
    assert siege.ordered(NAME) == others + 1
    assert found["enrolled_by_nobody"] == 100
    assert {item["name"] for item in found["certificates"]} > {NAME, OTHER}
    assert (status.code, says in status.out) == (1, True)
    box.fails("run", says=[says])
    [letter] = siege.smtp.letters[letters:]
    assert says in " ".join(letter.text.split())
    named = [set(re.findall(r"n[0-9]+[.]example", text)) for text in (run.out + run.err, status.out, letter.text)]
    return max(len(found["certificates"]) - 2, *map(len, named))


def _rows_of_nobody(siege: Siege, count: int) -> None:
    """Rows with a seal of another row."""
    columns = "enable, csr, ts_expire, ts_last_update, seal"
    siege.sql("CREATE TABLE numbers (number INTEGER)")
    siege.sql(f"INSERT INTO numbers VALUES {', '.join(f'({number})' for number in range(count))}")  # noqa: S608
    name = "REPLACE('nX.example.test', 'X', number)"
    copied = f"SELECT {name}, {columns} FROM certs, numbers WHERE name = '{NAME}'"  # noqa: S608
    siege.sql(f"INSERT INTO certs (name, {columns}) {copied}")


def test_what_was_revoked_stays_so(siege: Siege) -> None:
    """The issuer that revoked it remembers, whatever becomes of the table."""
    thief, row, box = Thief("The database, after a revocation"), siege.row, siege.box
    box.ok("reissue", NAME)
    present, old = (item["serial"] for item in box.ok("history", NAME, "--json").report()["versions"])
    siege.sql(f"UPDATE versions SET serial = CASE serial WHEN '{present}' THEN '{old}' ELSE 'AA' END")  # noqa: S608
    said = box.ok("revoke", NAME, "--serial", old, "--yes").out
    got = f"serial {present} is revoked" in said
    thief.tries("the revocation of another certificate than the one whose serial is typed", got=got)
    siege.sql("UPDATE versions SET revoked = NULL")
    back = box.run("rollback", NAME, "--serial", old)
    assert back.code == 0 or "it was revoked" in back.err
    thief.tries("a revoked certificate, which an operator would go back to", got=back.code == 0)
    box.ok("revoke", NAME, "--reason", "1", "--yes")

    def forget() -> None:
        siege.sql("UPDATE versions SET revoked = NULL")
        row(enable="'Y'", revoked="NULL", **NOW)

    says = "its key was revoked as compromised"
    orders = siege.ordered(NAME)
    forget()
    told = box.run("run")
    assert siege.ordered(NAME) > orders or says in told.err
    thief.tries("another certificate for a key that was revoked as compromised", got=siege.ordered(NAME) > orders)
    box.ok("populate", "--replace", NAME, "--csr", "-", stdin=csr([NAME], number=1))
    box.ok("run")
    assert siege.ordered(NAME) == orders + 1
    thief.is_told()
