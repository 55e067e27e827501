"""Every option of certfleet-issuer with values that cannot be meant: a sentence, the exit code, nothing changed.

The options are found in the parser itself: one without a case here fails the first test.
"""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from issuer.cli import build
from tests.common.options import HOSTILE_NAMES, WRONG_PROBES, Option, options_of, reports
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.database import SqliteDatabase

NAME = "www.example.test"
GOOD = {  # words with which a command would work, or would if it had servers; {folder} is the box's
    ("init",): [],
    ("probe",): ["https://127.0.0.1:9"],
    ("egress",): ["--watch"],
    ("db", "grants"): ["agent-web1"],
    ("db", "tls"): ["{folder}/tls", "--host", "db.example.test"],
    ("account", "rollover"): [],
    ("account", "deactivate"): ["--yes"],
    ("key", "rollover"): [],
    ("key", "sign"): [NAME, "--yes"],
    ("zone",): [NAME, "--ns", "ns1.example.test"],
    ("check",): [NAME],
    ("populate",): ["new.example.test", "--csr", "{folder}/new.csr"],
    ("enable",): [NAME],
    ("disable",): [NAME],
    ("remove",): [NAME, "--yes"],
    ("adopt",): [NAME, "--yes"],
    ("run",): [NAME],
    ("issue",): [NAME],
    ("reissue",): [NAME],
    ("transparency",): [],
    ("status",): [NAME],
    ("audit",): [NAME, "--local"],
    ("mute",): [NAME, "--until", "14d"],
    ("approve",): [NAME],
    ("note",): [NAME, "--contact", "noc"],
    ("report",): [],
    ("hosts", "forget"): ["web1"],
    ("challenges",): [NAME],
    ("solve",): [NAME],
    ("request",): [NAME],
    ("history",): [NAME],
    ("rollback",): [NAME],
    ("import",): ["new.example.test", "--crt", "{folder}/new.pem"],
    ("revoke",): [NAME, "--yes"],
}
SERIALS = ["", "XYZ", "00", "-1", "' OR 1=1 --", "f" * 5000, "..", "0x01", "\x1b[2J"]
FILES = [
    "",
    "/nonexistent",
    "{folder}",
    "/dev/zero",
    "{folder}/pipe",
    "{folder}/large",
    "/etc/shadow/x",
    "{folder}/key",
]
WEBROOTS = [
    "",
    "relative",
    "/",
    "/a/../b",
    "/two\nlines",
    "/" + "x" * 300,
    "/not UTF-8 \udce9",
    "ftp://h/x",
    "https://h/x",
]
WEBROOTS += ["sftp://h/x", "sftp://u:p@h/x", "sftp://u@h:0/x", "sftp://u@h:99999/x", "sftp://u@[/x"]
COMMENTS = ["", "x" * 1001, "two\nlines", "not UTF-8 \udce9", "x" * 100_000]
WRONG: dict[str, list[str]] = {
    "init --server": ["", "192.0.2.53"],  # without --system: here and below
    "init --email": ["", "noc@example.com"],
    "init --schedule": ["", "weekly", "hourly"],
    "db grants ACCOUNT": ["", "a'b", "a`b", "a b", "a\nb", "x" * 81, "ü", "a@b", "\udce9"],
    "db grants --host": ["", "a'b", "a b", "x" * 81, "%'; DROP TABLE certs; --", "\x1b"],
    "db grants --password-file": ["", "/nonexistent/x", "/dev/zero", "{folder}", "{folder}/pipe", "{folder}/new.pem"],
    "db tls FOLDER": ["", "/dev/null", "{folder}/key", "/proc/x"],
    "db tls --host": ["", "a b", "-x", "ü.example", "x" * 64, "a..b", "1.2.3.4.5", "*", "\x1b[2J"],
    "account rollover --directory": ["", "https://other.example/dir", "acme", "\x1b[2J"],
    "account deactivate --directory": ["", "https://other.example/dir", "acme", "\x1b[2J"],
    "zone --server": ["", "BIND", "unbound", "\x1b[2J"],
    "zone --method": ["", "DNS-01", "tls-alpn-01", "\x1b[2J"],
    "zone --secondary": ["", "BIND", "nsd4", "\x1b[2J"],
    "zone --out": ["", "/dev/null", "{folder}/key", "/proc/x"],
    "zone --ns": [*HOSTILE_NAMES.values()],
    "check --wait": ["", "1", "-1s", "1.5m", "soon", "1e9s", "9999999999s", "1m\n", "٣m"],
    "hosts forget HOST": ["", "unknown", "%", "x" * 300, "\x1b[2J"],
    "hosts forget --account": ["", "unknown", "%", "x" * 300, "\x1b[2J"],
    "transparency --accept": ["", "ab", "g" * 64, "a" * 63, "a" * 65, "\x1b[2J"],
    "status --expiring": ["", "1", "-1s", "1.5m", "soon", "1e9s", "14d\n", "٣m", "\x1b[2J"],
    "audit --retry": ["", "1", "-1s", "1.5m", "soon", "1e9s", "1h\n", "٣m", "\x1b[2J"],
    "mute --until": ["", "soon", "-1d", "0d", "2020-01-01", "9999-12-31", "999d", "2026-13-01", "٣d", "\x1b[2J"],
    "note --contact": ["", "x" * 1001, "two\nlines", "not UTF-8 \udce9", "\x1b[2J"],
    "note --renewal": ["", "x" * 1001, "two\nlines", "not UTF-8 \udce9", "\x1b[2J"],
    "report --html": ["", "/dev/null", "{folder}/key", "/proc/x"],
    "populate --csr": FILES,
    "populate --webroot": WEBROOTS,
    "populate --by": [
        *("", "=", "new.example.test", "new.example.test=", "other.example.test=dns-01", "dns-persist-02", "http-01"),
        *(f"new.example.test={webroot}" for webroot in WEBROOTS),
    ],
    "populate --comment": COMMENTS,
    **WRONG_PROBES,
    "egress --every": ["", "1", "-1s", "1.5m", "soon", "1e9s", "1m\n", "٣m", "\x1b[2J"],
    "egress --format": ["", "csv", "CSF", "plain\n", "\x1b[2J"],
    "reissue --issued-by": ["", "nobody", "%", "\x1b"],
    "rollback --serial": SERIALS,
    "import --crt": FILES,
    "import --chain": [*FILES[:-1], "{folder}/key", "{folder}/new.csr"],
    "import --comment": COMMENTS,
    "import --takeover-at": [
        "",
        "1",
        "-1s",
        "1.5m",
        "soon",
        "1e9s",
        "3d\n",
        "٣d",
        "3d",
    ],  # of the last the CSR is missing
    "import --csr": ["", "/nonexistent", "{folder}", "{folder}/key"],
    "revoke --reason": [
        "",
        "2",
        "6",
        "-1",
        "one",
        "removeFromCRL",
        "superseded!",
        "1.0",
        "99999999999999999999",
        "nan",
        "\x1b",
    ],
    "revoke --serial": SERIALS,
}
OPTIONS = options_of(build())
JSON = reports(build())


def cases(option: Option) -> list[str]:
    """Values for one option: a NAME is wrong in the same ways everywhere."""
    return list(HOSTILE_NAMES.values()) if option.dest == "name" else WRONG[str(option)]


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """One certificate that is enrolled, enabled and there; and what a second one could be made of. No test here changes
    it."""
    folder = tmp_path_factory.mktemp("options")
    box = Box(folder / "box", SqliteDatabase(folder))
    box.set_up()
    box.populate(NAME)
    box.ok("disable", NAME)
    authority = Authority("CA").intermediate("Issuing")
    begin = datetime.now(UTC) - timedelta(days=1)
    (box.folder / "old.pem").write_bytes(authority.sign(csr([NAME]), not_before=begin).fullchain_pem)
    box.ok("import", NAME, "--crt", str(box.folder / "old.pem"))
    box.database.execute("UPDATE certs SET imported = NULL")
    box.ok("enable", NAME)
    new = authority.issue(["new.example.test"])
    (box.folder / "new.pem").write_bytes(new.fullchain_pem)
    (box.folder / "new.csr").write_bytes(csr(["new.example.test"]))
    (box.folder / "key").write_bytes(new.key_pem)
    os.mkfifo(box.folder / "pipe")
    (box.folder / "large").touch()
    os.truncate(box.folder / "large", 100_000_000)
    return box


def test_every_option_has_its_cases() -> None:
    """An option that is added wants an entry, and one that goes takes its entry with it."""
    wanted = {str(option) for option in OPTIONS if option.takes_value and option.dest != "name"}
    assert wanted == set(WRONG)
    assert {option.command for option in OPTIONS} == set(GOOD)


@pytest.mark.sampled
@pytest.mark.parametrize("option", [option for option in OPTIONS if option.takes_value], ids=str)
def test_a_wrong_value(enrolled: Box, option: Option) -> None:
    """Exit code 1 or 2 and what to do; no row of any table differs; standard output holds JSON or nothing."""
    before, own = enrolled.contents(), enrolled.database.url
    if option.command == ("db", "grants"):
        enrolled.write(database={"url": "mysql+pymysql://issuer@localhost/certfleet"})
    try:
        for value in cases(option):
            assert_refused(enrolled, option, value)
    finally:
        enrolled.write(database={"url": own})
    assert enrolled.contents() == before


def assert_refused(box: Box, option: Option, value: str) -> None:
    good = [word.format(folder=box.folder) for word in GOOD[option.command]]
    given = value.format(folder=box.folder) if "{folder}" in value else value
    words = [option.word, given] if option.word == "--issued-by" else option.typed(good, given)
    for as_json in ([], ["--json"]) if option.command in JSON else ([],):
        outcome = box.run(*option.command, *as_json, *words)
        what = f"{option} {value[:60]!r}: exit code {outcome.code}\n{outcome.out[:2000]}\n{outcome.err[:2000]}"
        assert outcome.code in (1, 2), what
        assert "error: " in outcome.err, what
        assert "what to do: " in outcome.err or outcome.err.startswith("usage: "), what
        assert "\nerror: fake" not in outcome.err, what
        assert all(line.isprintable() and len(line) < 9000 for line in (outcome.out + outcome.err).splitlines()), what
        assert "PRIVATE KEY-----" not in outcome.err, what
        if as_json and outcome.out:
            json.loads(outcome.out)
        elif option.command != ("check",):  # which tells what it has found so far
            assert outcome.out == "", what


@pytest.mark.sampled
@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.takes_value], ids=str)
def test_a_switch_takes_no_value(enrolled: Box, option: Option) -> None:
    """--yes=no does not mean yes."""
    before = enrolled.contents()
    outcome = enrolled.run(*option.command, *GOOD[option.command], f"{option.word}=no")
    assert (outcome.code, outcome.out) == (2, "")
    assert option.word in outcome.err
    assert enrolled.contents() == before


@pytest.mark.parametrize("label", ["..", ".hidden", "-x", "a/b", " a", "a\n", "x" * 251, "\x1b[2J", "a\u202eb"])
@pytest.mark.parametrize("command", ["populate", "import"])
def test_a_label_that_cannot_be(enrolled: Box, command: str, label: str) -> None:
    """A label is free, but it is part of file names and of what terminals show."""
    before = enrolled.contents()
    rest = [word.format(folder=enrolled.folder) for word in GOOD[command,][1:]]
    outcome = enrolled.run(command, *rest, "--label", "--", label)
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert all(line.isprintable() for line in outcome.err.splitlines())
    assert enrolled.contents() == before


def test_words_that_do_not_go_together(enrolled: Box) -> None:
    """Each is told, and nothing is begun."""
    before = enrolled.contents()
    for words in (["reissue"], ["reissue", NAME, "--all"], ["reissue", NAME, "--issued-by", "CA"]):
        enrolled.refused(*words, code=2, says=["--all", "--issued-by"])
    assert enrolled.contents() == before
