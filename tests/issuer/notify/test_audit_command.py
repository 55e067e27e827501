"""audit, mute and note: what people see and say; and the mails."""

import json
import time

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.clock import utc_text
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.smtp import Smtp

NAME, OTHER = "www.example.test", "shop.example.test"
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
DAY = 86400


@pytest.fixture
def audited(lone_box: Box, smtp: Smtp) -> Box:
    """A box with a good certificate of its own, and mail."""
    lone_box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    lone_box.document["acme"] = {"directory": "https://127.0.0.1:9/dir"}
    lone_box.write()
    lone_box.populate(NAME)
    put(lone_box, NAME)
    return lone_box


def put(box: Box, name: str, *, for_clients: bool = False) -> None:
    """A certificate as if we had issued it; one that is for clients has a fault that a new one cures."""
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if for_clients else ExtendedKeyUsageOID.SERVER_AUTH
    issued = Authority("Root").intermediate("CA").sign(csr([name]), usage=usage)
    ends = int(time.time()) + 90 * DAY
    box.database.execute(
        f"UPDATE certs SET crt = X'{issued.cert_pem.hex()}', ca = X'{issued.chain_pem.hex()}', ts_expire = {ends},"  # noqa: S608
        f" due_at = {ends - 30 * DAY}, directory = '{DIRECTORY}', audit_at = NULL WHERE name = '{name}'"
    )
    box.ok("adopt", name, "--yes")
    box.ok("enable", name)


def import_one(box: Box, *, days: float) -> None:
    file = box.folder / "bought.pem"
    file.write_bytes(Authority("Company CA").intermediate("Issuing").issue([OTHER], days=days).fullchain_pem)
    box.ok("import", OTHER, "--crt", str(file))


def kinds(box: Box) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in box.run("audit", "--local", "--json").report()["findings"]:
        found.setdefault(one["name"], []).append(one["kind"])
    return found


def test_a_row_that_is_gone(audited: Box) -> None:
    """As `status` and `run`; one name alone is audited without that look at all."""
    audited.populate("other.example.test")
    audited.database.execute("DELETE FROM certs WHERE name = 'other.example.test'")
    done = audited.run("audit", "--local", "--nagios")
    assert (done.code, "AUDIT CRITICAL - 1 of 2 with findings" in done.out) == (2, True), done.out
    assert "the row of other.example.test is gone without `remove`" in audited.fails("audit", "--local", says=[]).out
    audited.ok("audit", "--local", NAME)


def test_what_is_found_and_what_to_do(audited: Box) -> None:
    """Nothing, and then a fault with its severity, evidence and remedy: a table, --json, and a monitoring system's
    line; each with its exit code."""
    assert audited.ok("audit", "--local").out == "0 of 1 certificate with findings\n"
    assert audited.ok("audit", "--local", "-q").out == ""
    assert f"{NAME}: nothing was found" in audited.ok("audit", "--local", "-v").out
    assert audited.ok("audit", "--local", "--nagios").out == (
        "AUDIT OK - 0 of 1 with findings | 'critical'=0 'warning'=0 'certificates'=1\n"
    )
    put(audited, NAME, for_clients=True)
    text = audited.fails("audit", "--local", says=[]).out
    assert "critical  no-server-auth" in " ".join(text.split("\n")[1].split(" ")).replace("   ", "  ")
    assert "without serverAuth; the next `run` replaces it" in text
    assert text.endswith("1 of 1 certificate with findings; the next run replaces 1\n")
    document = audited.fails("audit", NAME, "--local", "--json", says=[]).report()
    [one] = document["findings"]
    assert (one["kind"], one["severity"], one["curable"]) == ("no-server-auth", "critical", True)
    assert (document["to_be_replaced"], document["well"]) == ({NAME: ["no-server-auth"]}, [])
    line = audited.run("audit", "--local", "--nagios")
    assert (line.code, line.out) == (
        2,
        f"AUDIT CRITICAL - 1 of 1 with findings: {NAME} | 'critical'=1 'warning'=0 'certificates'=1\n",
    )
    assert audited.row(NAME, "reissue_reason", "audit_at") == (None, None)  # it only looks
    audited.config.write_text("nonsense = 1\n")
    line = audited.run("audit", "--nagios")
    assert (line.code, line.out.count("\n"), line.out.startswith("AUDIT UNKNOWN - ")) == (3, 1, True)


def test_the_run_replaces_it_unasked_and_tells_once(audited: Box, smtp: Smtp) -> None:
    """The CA is away here, so the wish waits; one mail tells fault and failure, and the next run says nothing more."""
    put(audited, NAME, for_clients=True)
    audited.fails("run", says=[])
    assert audited.row(NAME, "reissue_reason", "audit_served") == ("the audit found: no-server-auth", "no-server-auth")
    [letter] = smtp.letters
    assert "FOUND BY THE AUDIT (1)" in letter.text
    assert "its extended key usage is without serverAuth" in " ".join(letter.text.replace(">", " ").split())
    assert "to be replaced" in audited.ok("history", NAME).out
    audited.database.execute("UPDATE certs SET audit_at = NULL")
    audited.run("run")
    assert len(smtp.letters) == 1
    put(audited, NAME)
    audited.run("run")
    assert smtp.letters[1].subject.startswith(f"certfleet: {NAME} has no fault any more on ")


def test_a_mute_holds_off_replacing_and_mails_until_its_end(audited: Box, smtp: Smtp) -> None:
    """Each for itself or both; the finding is shown all the same, and said when the mute ends."""
    put(audited, NAME, for_clients=True)
    assert "until 2" in audited.ok("mute", NAME, "--until", "14d").out
    audited.ok("run")
    assert (audited.row(NAME, "reissue_reason"), smtp.letters) == ((None,), [])
    assert "it is muted until" in audited.fails("audit", "--local", says=[]).out
    audited.ok("mute", NAME, "--until", "1d", "--replacing")
    audited.ok("run")
    assert (audited.row(NAME, "reissue_reason"), len(smtp.letters)) == ((None,), 1)
    audited.ok("mute", NAME, "--off")
    assert "no-server-auth" in audited.fails("run", says=[]).err or audited.row(NAME, "reissue_reason") != (None,)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--off", "--until", "1d"),
        ("--off", "--mails"),
        ("--until", "yesterday"),
        ("--until", "2020-01-01"),
        ("--until", "999d"),
    ],
)
def test_a_mute_that_cannot_be_meant(audited: Box, words: tuple[str, ...]) -> None:
    audited.refused("mute", NAME, *words, code=2, says=["error: "])
    assert audited.row(NAME, "mute_until") == (None,)


def test_a_note_stands_in_findings_and_mails(audited: Box, smtp: Smtp) -> None:
    """Whom to ask, and how an imported certificate is renewed; a new certificate does not end it, - does."""
    import_one(audited, days=20)
    audited.ok("note", OTHER, "--contact", "shop team, tel. 23", "--renewal", "log in at ca.example, order 17")
    import_one(audited, days=19)
    soon = int(time.time()) + 9999
    passed = f"ts_expire = {soon}, due_at = 1, ts_last_update = ts_last_update - 60"
    audited.database.execute(f"UPDATE certs SET {passed} WHERE name = '{OTHER}'")  # noqa: S608
    text = audited.fails("audit", "--local", says=[]).out
    assert "log in at ca.example, order 17, then `certfleet-issuer import" in text
    assert "contact: shop team, tel. 23" in text
    audited.run("run")
    [letter] = smtp.letters
    said = " ".join(letter.text.replace("  >", " ").split())
    assert 'contact: "shop team, tel. 23"' in said
    assert "log in at ca.example, order 17" in said
    said = audited.ok("note", OTHER, "--contact", "-", "--renewal", "order 18").out
    assert said == f"{OTHER}: contact cleared, renewal noted\n"
    audited.ok("note", OTHER, "--contact", "-", "--renewal", "-")
    assert audited.row(OTHER, "contact", "renewal_note") == (None, None)
    audited.refused("note", OTHER, code=2, says=["nothing is to be noted"])
    audited.refused("note", OTHER, "--contact", "a\nb", code=2, says=["one line"])


def test_status_shows_mute_and_note(audited: Box) -> None:
    """As long as the mute lasts; each half of it for itself."""
    audited.ok("mute", NAME, "--until", "14d", "--mails")
    audited.ok("note", NAME, "--contact", "web team", "--renewal", "order 17")
    text = audited.ok("status", NAME).out
    assert " no mail tells of it\n" in text
    assert "no finding replaces it" not in text
    assert "  contact       web team\n  how to renew  order 17\n" in text
    [one] = audited.ok("status", NAME, "--json").report()["certificates"]
    assert (one["muted"]["replacing"], one["muted"]["mails"], one["contact"]) == (False, True, "web team")
    audited.ok("mute", NAME, "--off")
    assert audited.ok("status", NAME, "--json").report()["certificates"][0]["muted"] is None


def test_one_fault_of_many_is_said_once(audited: Box) -> None:
    """With their count."""
    for name in (NAME, "mail.example.test", "imap.example.test", "ldap.example.test"):
        if name != NAME:
            audited.populate(name)
        put(audited, name, for_clients=True)
    text = audited.fails("audit", "--local", says=[]).out
    assert text.count("without serverAuth") == 1
    assert "4: imap.example.test, ldap.example.test, mail.example.test and 1 more" in text


def test_options_that_do_not_fit(audited: Box) -> None:
    audited.refused("audit", "--retry", "1h", code=2, says=["--retry goes with --fix"])
    audited.refused("audit", "--fix", "--json", code=2, says=["--fix goes with"])
    assert json.loads(audited.ok("audit", NAME, "--local", "--json").out)["well"] == [NAME]


def test_a_takeover_waits_beside_an_imported_certificate(audited: Box) -> None:
    """For its last three days; a newer certificate moves it, another key and a foreign name are refused, and nothing
    is stored of what is refused."""
    key_file = audited.folder / "other.csr"
    request = csr([OTHER])
    bought = Authority("Company CA").intermediate("Issuing")
    file = audited.folder / "bought.pem"
    file.write_bytes(bought.sign(request, days=100).fullchain_pem)
    key_file.write_bytes(csr([OTHER], kind="rsa2048"))
    take = ("import", OTHER, "--crt", str(file), "--takeover-at", "3d")
    audited.refused(*take, "--csr", str(key_file), code=1, says=["another key"])
    audited.put_csr("foreign", csr([NAME]))
    assert OTHER not in audited.ok("status").out
    audited.put_csr(OTHER, request)
    said = audited.ok(*take).out
    ends, due, seconds = audited.row(OTHER, "ts_expire", "change_due_at", "takeover")
    assert (due, seconds) == (ends - 3 * DAY, 3 * DAY)
    assert f"a `run` orders the next one from {utc_text(due)} on" in said
    assert "nothing renews it" not in said
    earlier = audited.ok(*take[:-1], "4d").out  # the same certificate: its takeover alone moves
    assert f"from {utc_text(ends - 4 * DAY)} on" in earlier
    assert "nothing was changed" not in earlier
    audited.ok(*take)
    told = audited.ok("history", OTHER).out.count("change enrolled")
    audited.ok(*take)  # nothing differs
    assert audited.ok("history", OTHER).out.count("change enrolled") == told == 3
    assert "it takes over, unless a newer certificate is imported before" in audited.ok("status", OTHER).out
    assert "on, unless a newer certificate is imported before" in audited.run("check", OTHER).out
    audited.ok("run")
    assert audited.orders() == []
    file.write_bytes(bought.sign(request, days=300).fullchain_pem)
    audited.ok("import", OTHER, "--crt", str(file))
    later, due = audited.row(OTHER, "ts_expire", "change_due_at")
    assert (later - due, later > ends) == (3 * DAY, True)
    audited.ok("populate", "--replace", OTHER, "--csr", str(key_file))
    assert audited.row(OTHER, "change_due_at", "takeover") == (0, None)
