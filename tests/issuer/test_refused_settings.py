"""A wrong configuration and secrets that are missing, unreadable or open: told at once, and nothing is begun."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.database import SqliteDatabase
from tests.servers.mariadb import MariaDB

NAME = "www.example.test"
EVERY_COMMAND = (
    *(["db", "status"], ["db", "upgrade"], ["populate", NAME], ["enable", NAME], ["status"], ["run"]),
    *(["issue", NAME], ["zone", NAME], ["remove", NAME]),
)


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_every_command_names_every_finding(lone_box: Box, words: list[str]) -> None:
    """Unknown keys with a suggestion, wrong types and bad values: one list, each with its path, exit code 2."""
    lone_box.document["dns"] |= {
        "sever": "192.0.2.1",
        "port": 0,
        "smtp_host": "mx",
        "state_dir": "/x",
        "zone": [{"server": "192.0.2.2"}],
    }
    lone_box.document["acme"] |= {"workers": "8", "directory": "http://acme.example.test"}
    lone_box.document["renewal"] |= {"retry": ["soon"], "fraction_left": 2}
    lone_box.document["notfy"] = {"email_to": []}
    lone_box.write()
    says = [
        "findings",
        "dns.sever: is not a known key; did you mean 'server'?",
        "dns.smtp_host: is not a known key; it belongs into [notify]",
        "dns.state_dir: is not a known key; it belongs above the first table",
        "dns.port: must be between 1 and 65535",
    ]
    says += ["dns.zone[0].name: is missing", "acme.workers: must be a whole number", "acme.directory: must be an https"]
    says += ["renewal.retry: 'soon' is not a duration", "renewal.fraction_left", "notfy", "did you mean 'notify'?"]
    outcome = lone_box.refused(*words, code=2, says=says)
    assert outcome.out == ""


def test_a_configuration_that_cannot_be_read(lone_box: Box) -> None:
    """No such file, a folder, no TOML, no UTF-8: each says so and what to do."""
    lone_box.config.unlink()
    lone_box.refused("status", code=2, says=["issuer.toml", "no such file", "init"])
    lone_box.config.mkdir()
    lone_box.refused("status", code=2, says=["cannot be read"])
    lone_box.config.rmdir()
    lone_box.config.write_text("state_dir = unquoted\n", encoding="utf-8")
    lone_box.refused("status", code=2, says=["is not TOML", "line 1"])
    lone_box.config.write_bytes(b'state_dir = "\xff"\n')
    lone_box.refused("status", code=2, says=["is not TOML"])


@pytest.mark.parametrize(
    ("url", "says"),
    {
        "mysql+pymysql://u:secret@localhost/certfleet": "must not hold a password",
        "mysql+pymysql://u@localhost/certfleet?ssl_ca=/etc/ca.pem": "must not carry ssl options",
        "mysql+pymysql://u@localhost/certfleet?ssl_verify_cert=false": "must not carry ssl options",
        "mysql+pymysql://localhost/certfleet": "must name user, host and database",
        "postgresql://u@localhost/certfleet": "unknown scheme",
        "sqlite://certfleet.db": "absolute path",
        "certfleet.db": "must look like",
    }.items(),
)
def test_a_database_url_that_is_not_taken(lone_box: Box, url: str, says: str) -> None:
    """What could switch off verification or leak a password is refused, and the password is not repeated."""
    lone_box.write(database={"url": url})
    outcome = lone_box.refused("status", code=2, says=["database.url", says])
    assert "secret" not in outcome.err


def broken_key(file: Path) -> None:
    file.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", encoding="ascii")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda file: file.unlink(), "there is no account key"),
        (lambda file: file.chmod(0o644), "its mode is 0644"),
        (lambda file: file.chmod(0o620), "its mode is 0620"),
        (broken_key, "not an unencrypted PEM private key"),
    ],
    ids=["missing", "world-readable", "group-writable", "garbage"],
)
def test_an_account_key_that_cannot_be_used(lone_box: Box, harm: Callable[[Path], object], says: str) -> None:
    """Nothing is ordered, no new key is made in its place, exit code 2."""
    lone_box.populate(NAME)
    before = lone_box.contents()
    key = lone_box.state_dir / "account.pem"
    harm(key)
    present = key.exists() and key.read_bytes()
    outcome = lone_box.refused("run", code=2, says=[str(key), says])
    assert "nonsense" not in outcome.err
    assert (key.exists() and key.read_bytes()) == present
    assert lone_box.contents() == before


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [
        (0o644, 'key "acme" { algorithm hmac-sha256; secret "c2VjcmV0"; };', "its mode is 0644"),
        (0o600, "", "holds 0 TSIG keys"),
        (0o600, 'key "acme" { algorithm hmac-md5; secret "c2VjcmV0"; };', "the algorithm hmac-md5"),
        (0o600, 'key "acme" { algorithm hmac-sha256; secret "c2VjcmV0!"; };', "malformed key name or secret"),
        (None, "", "cannot be read (No such file or directory)"),
    ],
    ids=["world-readable", "empty", "weak", "not base64", "missing"],
)
def test_a_tsig_key_that_cannot_be_used(box: Box, mode: int | None, text: str, says: str) -> None:
    """A finding with the file and the reason, whether something is due or not; no certificate is blamed, no secret is
    shown."""
    box.enrol(NAME)
    file = box.folder / "other.key"
    if mode is not None:
        file.write_text(text, encoding="ascii")
        file.chmod(mode)
    box.write(dns={"tsig_key_file": str(file)})
    outcome = box.refused("run", code=2, says=[str(file), says])
    assert "c2VjcmV0" not in outcome.out + outcome.err
    assert box.orders() == []
    assert box.row(NAME, "crt", "count_fail_update") == (None, 0)


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.symlink_to("/nowhere/at/all"),
        Path.mkdir,
        lambda file: file.write_bytes(b"\xff\xfe"),
        Path.touch,
        lambda file: file.write_bytes(b"\0\0"),
    ],
    ids=["dangling link", "folder", "binary", "empty", "zeros"],
)
def test_an_issuer_id_that_cannot_be_used(lone_box: Box, harm: Callable[[Path], object]) -> None:
    """It is named, with what to do: the leases of two issuers are told apart by it."""
    harm(lone_box.state_dir / "issuer.id")
    lone_box.refused("run", code=1, says=["issuer.id", "delete it"])


def test_an_issuer_id_that_is_a_link(lone_box: Box) -> None:
    """To a good file, as after a state folder was moved: said as such, and the file is as it was."""
    lone_box.ok("run")
    link = lone_box.state_dir / "issuer.id"
    file = link.rename(lone_box.state_dir.parent / "moved.id")
    link.symlink_to(file)
    before = file.read_bytes()
    lone_box.refused("run", code=1, says=["issuer.id", "symbolic link: put the file itself in its place"])
    assert file.read_bytes() == before


@pytest.mark.sampled
@pytest.mark.parametrize("words", [["issue", "--lift-hold"], ["reissue"], ["challenges"]], ids=" ".join)
def test_a_command_that_cannot_begin_changes_nothing(box: Box, words: list[str]) -> None:
    """With a key file that is open to others no wish is left behind, which the next `run` would have granted."""
    name = box.enrol("www.lab.test")
    box.database.execute("UPDATE certs SET crt = 'some', due_at = 99")
    box.database.execute("INSERT INTO holds (account, scope, until) VALUES ('a', 'www.lab.test', 9999999999)")
    before = box.contents()
    Path(box.document["dns"]["tsig_key_file"]).chmod(0o644)
    box.refused(*words, name, code=2, says=["its mode is 0644"])
    assert box.contents() == before


def test_a_missing_server_or_key_is_named(box: Box) -> None:
    """Without [dns] server or tsig_key_file the failure names the key of the configuration."""
    box.enrol(NAME)
    box.write(dns={"tsig_key_file": ""})
    box.fails("issue", NAME, says=["dns.tsig_key_file: is missing"])
    box.write(dns={"server": ""})
    box.fails("issue", NAME, says=["dns.server"])


def test_a_database_password_that_is_open_or_missing(lone_box: Box, mariadb: MariaDB) -> None:
    """The mode of password_file is checked, its content never shown, and nothing is asked of the server."""
    database = mariadb.create_database()
    secret = lone_box.folder / "db.password"
    settings = {"url": database.url, "tls_ca": str(database.tls_ca), "password_file": str(secret)}
    lone_box.write(database=settings)
    lone_box.refused("db", "upgrade", code=2, says=[str(secret), "cannot be read (No such file"])
    secret.write_text(database.password, encoding="utf-8")
    secret.chmod(0o604)
    outcome = lone_box.refused("db", "upgrade", code=2, says=[str(secret), "its mode is 0604", "chmod 0600"])
    assert database.password not in outcome.err
    secret.chmod(0o600)
    lone_box.fails("db", "status", says=["run `certfleet-issuer db upgrade`"])
    secret.write_text("\n", encoding="ascii")
    lone_box.refused("db", "upgrade", code=2, says=[str(secret), "is empty, where a password should be"])


@pytest.fixture
def public_box(open_folder: Path) -> Box:
    """A box in a folder that others may enter."""
    box = Box(open_folder / "box", SqliteDatabase(open_folder))
    box.folder.chmod(0o755)
    box.set_up()
    box.config.chmod(0o644)
    return box


@pytest.mark.soak
def test_an_ordinary_user_is_told_so(public_box: Box) -> None:
    """A folder that may not be entered is a sentence with what to do, not a fault, whatever lies in it."""
    before = public_box.contents()
    for words, code, says in (
        (["init"], 1, "account.pem: Permission denied"),
        (["run"], 1, "issuer.id: Permission denied"),
    ):
        tell_a_stranger(public_box, words, code, says)
    child = public_box.start_anew("check", user=65534)
    assert "account.pem: cannot be read (Permission denied)" in child.communicate(timeout=60)[0]
    public_box.config.chmod(0o600)
    tell_a_stranger(public_box, ["status"], 2, "issuer.toml: cannot be read (Permission denied)")
    public_box.config.parent.chmod(0o700)
    tell_a_stranger(public_box, ["status"], 2, "issuer.toml: cannot be read (Permission denied)")
    tell_a_stranger(public_box, ["init"], 1, "issuer.toml: Permission denied")
    assert public_box.contents() == before


def test_a_folder_of_csrs_that_this_user_may_not_read(public_box: Box) -> None:
    """It is there all the same, whether the user may not look at it or not into it."""
    csrs = public_box.folder / "closed" / "csrs"
    csrs.mkdir(parents=True, mode=0o755)
    (csrs / "www.example.test.csr").write_bytes(csr(["www.example.test"]))
    for closed in (csrs.parent, csrs):
        closed.chmod(0o700)
        tell_a_stranger(public_box, ["populate", "--csr", str(csrs)], 2, f"this user may not read {csrs}")
        closed.chmod(0o755)
    closed = csrs.parent
    closed.chmod(0o700)
    words = ["populate", "www.example.test", "b.example.test", "--csr", str(csrs)]
    tell_a_stranger(public_box, words, 2, f"this user may not read {csrs}")


def tell_a_stranger(box: Box, words: list[str], code: int, says: str) -> None:
    child = box.start_anew(*words, user=65534)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err.startswith("error: ")) == (code, True), out + err
    assert says in err
    assert "what to do: " in err


def test_init_never_overwrites(lone_box: Box) -> None:
    """A second `init` keeps configuration and account key; on an empty machine it writes both, closed to others."""
    key = lone_box.state_dir / "account.pem"
    before = (key.read_bytes(), lone_box.config.read_bytes())
    assert "kept" in lone_box.ok("init").out
    assert (key.read_bytes(), lone_box.config.read_bytes()) == before
    assert (key.stat().st_mode & 0o777, lone_box.state_dir.stat().st_mode & 0o777) == (0o600, 0o700)


def test_zone_needs_no_database(box: Box) -> None:
    """`zone` prints stanza, zone file and delegation for a name that is not even enrolled."""
    box.document["database"]["url"] = "sqlite:////nowhere/at/all.db"
    box.write()
    out = box.ok("zone", NAME, "--ns", "ns1.example.test").out
    assert 'grant "acme" name _acme-challenge.www.example.test. TXT;' in out
    assert "_acme-challenge.www.example.test. IN NS ns1.example.test." in out
    box.refused("zone", "not a name", code=2, says=["'not a name'"])


def test_populate_reads_csr_dir(lone_box: Box) -> None:
    """Without --csr the request lies in csr_dir under its name."""
    lone_box.put_csr(NAME, csr([NAME]))
    assert "enrolled, ecdsa-p256, 1 name(s)" in lone_box.ok("populate", NAME, "--comment", "Zürich").out
    assert lone_box.row(NAME, "comment", "enable") == ("Zürich", "N")


@pytest.mark.parametrize("place", ["/nowhere.pem", "/", "/" + "a" * 300])
def test_a_ca_bundle_that_is_none(lone_box: Box, place: str) -> None:
    """The last one stands for a folder that we may not enter: the system refuses to look there as well."""
    lone_box.write(acme={"ca_bundle": place})
    lone_box.populate(NAME)
    for words in (["issue", NAME], ["check"]):
        told = lone_box.run(*words)
        assert told.code != 0
        assert f"{place} is not a file that we can see" in told.out + told.err
