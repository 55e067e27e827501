"""account: it shows, changes its key and ends; a change that is cut short anywhere goes on by itself."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from common.config_file import load
from issuer.ca.account import account_id, load_account_key
from issuer.ca.upkeep import KeyAccount
from issuer.commands import rollover
from issuer.commands.wiring import alone
from issuer.model.config import Settings
from issuer.model.failure import Failure
from issuer.store.database import Database
from issuer.store.holds import Holds
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem
from tests.servers.database import SqliteDatabase
from tests.servers.process import wait_until

NAME = "www.lab.test"
# Each state of a change once: what comes after one of these steps is what the next one finds.
INSTANTS = [
    ("create_account_key", "before"),
    ("create_account_key", "after"),
    ("change_key", "after"),
    ("rename_account", "after"),
    ("sync_folder", "before"),
]


class Killed(BaseException):
    """The process ends here."""


def shown(box: Box) -> dict[str, object]:
    [account] = json.loads(box.ok("account", "show", "--json").out)
    assert isinstance(account, dict)
    return account


def ours(box: Box) -> str:
    """The account's name in the tables."""
    settings = load(Settings, box.config)
    return account_id(settings.acme.directory, load_account_key(settings.account_key(settings.acme)))


def assert_changed(box: Box, before: dict[str, object]) -> None:
    """Same account, another key; certificates and holds are that account's; nothing is left over."""
    after = shown(box)
    assert (after["url"], after["status"]) == (before["url"], "valid")
    assert after["thumbprint"] != before["thumbprint"]
    assert box.row(NAME, "account") == (ours(box),)
    assert box.database.query("SELECT account FROM holds") == [(ours(box),)]
    assert not os.path.lexists(box.state_dir / "account.pem.new")
    assert os.stat(box.state_dir / "account.pem").st_mode & 0o777 == 0o600


@pytest.fixture
def issued(proxied: Box) -> Box:
    """One certificate, an order under way by hand, and a hold."""
    proxied.enrol(NAME)
    proxied.ok("issue", NAME)
    settings = load(Settings, proxied.config)
    now = int(time.time())
    Holds(Database(settings.database)).add(ours(proxied), "held.lab.test", now + 3600, Failure("busy"), now)
    return proxied


def test_show_registers_nothing(proxied: Box, proxy: CaProxy) -> None:
    """Before the first order there is no account; then it has its URL."""
    assert shown(proxied)["url"] == ""
    assert "none yet" in proxied.ok("account", "show").out
    assert all((request.payload or {}).get("onlyReturnExisting") for request in proxy.paths("sign-me-up"))
    proxied.enrol(NAME)
    proxied.ok("issue", NAME)
    account = shown(proxied)
    assert account["status"] == "valid"
    assert str(account["url"]) in proxied.ok("account", "show").out


@pytest.mark.soak
def test_another_key_for_the_same_account(issued: Box, proxy: CaProxy) -> None:
    """An order that was begun goes on, and no second account is made."""
    before = shown(issued)
    issued.ok("challenges", NAME)
    issued.ok("account", "rollover")
    assert_changed(issued, before)
    issued.ok("challenges", NAME)
    made = [request for request in proxy.paths("sign-me-up") if "contact" in (request.payload or {})]
    assert made == []
    assert shown(issued)["url"] == before["url"]


@pytest.mark.sampled
@pytest.mark.parametrize(("step", "when"), INSTANTS)
@pytest.mark.parametrize("command", [("account", "rollover"), ("reissue", NAME)], ids=" ".join)
def test_a_kill_at_any_step(
    issued: Box, monkeypatch: pytest.MonkeyPatch, step: str, when: str, command: tuple[str, ...]
) -> None:
    """The next command finds out which key the CA knows; the account is the same whatever it was."""
    before = shown(issued)
    owner = KeyAccount if step == "change_key" else rollover
    real = getattr(owner, step)

    def kill(*given: object) -> None:
        if when == "after":
            real(*given)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, step, kill)
        issued.run("account", "rollover")
    untouched = (step, when) == INSTANTS[0]
    issued.ok(*command)
    if untouched and command[0] == "reissue":
        assert shown(issued)["thumbprint"] == before["thumbprint"]
    else:
        assert_changed(issued, before)
    assert shown(issued)["url"] == before["url"]
    issued.ok("reissue", NAME)


def test_a_lost_answer(issued: Box, proxy: CaProxy) -> None:
    """The CA has changed the key and its answer is lost: that is found out at once."""
    before = shown(issued)

    def lose(request: Request, reply: Reply) -> Reply:
        return Reply(502, b"") if "rollover" in request.path else reply

    proxy.after.append(lose)
    issued.ok("account", "rollover")
    assert_changed(issued, before)


@pytest.mark.soak
def test_a_ca_that_cannot_tell(issued: Box, proxy: CaProxy) -> None:
    """Nothing registers a second account meanwhile; once it answers again, the next run finishes."""
    before = shown(issued)

    def away(request: Request) -> Reply | None:
        asks = "rollover" in request.path or (request.payload or {}).get("onlyReturnExisting")
        return Reply(503, b"") if asks and os.path.lexists(issued.state_dir / "account.pem.new") else None

    proxy.before.append(away)
    issued.fails("account", "rollover", says=["the CA answered"])
    issued.fails("reissue", NAME, says=["a change of the account key", "account rollover"])
    issued.fails("revoke", NAME, "--yes", says=["a change of the account key"])
    proxy.before.remove(away)
    issued.ok("reissue", NAME)
    assert_changed(issued, before)


@pytest.mark.sampled
@pytest.mark.parametrize("status", [403, 500])
def test_a_ca_that_refuses(issued: Box, proxy: CaProxy, status: int) -> None:
    """The old key goes on, and nothing is left that could stop a run."""
    before = shown(issued)
    proxy.before.append(
        lambda request: problem("serverInternal", "not today", status) if "rollover" in request.path else None
    )
    issued.fails("account", "rollover", says=["not today"])
    assert shown(issued) == before
    issued.ok("reissue", NAME)


def test_not_while_another_issuer_works_here(issued: Box) -> None:
    """The daemon is named with what to do."""
    with alone(load(Settings, issued.config), doing="certfleet-issuer daemon"):
        for command in (["rollover"], ["deactivate", "--yes"]):
            assert "stop the daemon" in issued.run("account", *command).err
    assert shown(issued)["status"] == "valid"


def test_a_key_of_two_cas(issued: Box) -> None:
    """It would be lost at the other one."""
    issued.write(acme={"fallback": [{"directory": "https://other.example/dir"}]})
    issued.fails("account", "rollover", says=["https://other.example/dir too", "copy"])


@pytest.mark.soak
def test_an_account_that_ends(issued: Box) -> None:
    """Only after a confirmation; then the CA takes no order of it."""
    assert "--yes" in issued.run("account", "deactivate").err
    assert shown(issued)["status"] == "valid"
    assert "is deactivated" in issued.ok("account", "deactivate", "--yes").out
    issued.fails("reissue", NAME, says=["is deactivated", "name a new file as account_key"])
    issued.fails("account", "show", says=["is deactivated", "name a new file as account_key"])
    issued.write(acme={"account_key": str(issued.state_dir / "second.pem")})
    issued.ok("init")
    issued.ok("run", "--retry")
    assert issued.row(NAME, "account") == (ours(issued),)


@pytest.fixture
def other_box(issued: Box, tmp_path: Path) -> Box:
    """A second issuer with a copy of the key, which has used the account, on a database of its own."""
    other = Box(tmp_path / "other", SqliteDatabase(tmp_path / "other"))
    other.write(acme=issued.document["acme"], dns=issued.document["dns"])
    other.set_up()
    copy_key(issued, other)
    other.populate(NAME)
    other.ok("issue", NAME)
    return other


def copy_key(source: Box, target: Box) -> None:
    shutil.copy(source.state_dir / "account.pem", target.state_dir / "account.pem")


def registrations(proxy: CaProxy) -> list[Request]:
    """Requests that would make a second account."""
    return [each for each in proxy.paths("sign-me-up") if "termsOfServiceAgreed" in (each.payload or {})]


SAYS_VOID = ["is no longer that of our account", "copy the present key from the issuer that changed it"]


@pytest.mark.sampled
@pytest.mark.parametrize("form", [None, problem("unauthorized", "no", 403), Reply(403, b"no")])
def test_a_copy_of_the_old_key_registers_nothing(
    issued: Box, other_box: Box, proxy: CaProxy, form: Reply | None
) -> None:
    """The other issuer says that the key was changed, in whatever form the CA refuses its signature; with a copy of the
    new key it goes on, with the same account."""
    before = shown(issued)

    def otherwise(request: Request, reply: Reply) -> Reply:
        return form if form and reply.status == 400 and "/my-account/" in request.path else reply

    proxy.after.append(otherwise)
    issued.ok("account", "rollover")
    asked = len(registrations(proxy))
    other_box.fails("reissue", NAME, says=[*SAYS_VOID, str(before["url"]), "run --retry"])
    other_box.fails("check", says=["no longer that of our account"])
    assert len(registrations(proxy)) == asked
    copy_key(issued, other_box)
    assert "account.changed" not in other_box.ok("run", "--retry").err
    assert shown(other_box)["url"] == before["url"]


@pytest.mark.soak
def test_a_daemon_with_the_old_key_says_it(issued: Box, other_box: Box, proxy: CaProxy) -> None:
    """Its process has signed with the key before; the CA calls the signature malformed."""
    with Service(other_box) as daemon:
        other_box.ok("reissue", NAME)
        stored = "SELECT count(*) FROM orders WHERE state = 'STORED'"
        wait_until(lambda: other_box.database.query(stored) == [(2,)], "issued by the daemon")
        issued.ok("account", "rollover")
        asked = len(registrations(proxy))
        other_box.ok("reissue", NAME)
        wait_until(lambda: SAYS_VOID[0] in daemon.log_file.read_text(encoding="utf-8"), "the daemon says it")
        assert other_box.row(NAME, "count_fail_update") == (1,)
    assert len(registrations(proxy)) == asked


@pytest.mark.soak
def test_another_key_on_purpose_registers(issued: Box, proxy: CaProxy) -> None:
    """A key that never had an account gets one, although the CA gave us another before."""
    issued.write(acme={"account_key": str(issued.state_dir / "second.pem")})
    issued.ok("init")
    assert "account.changed" in issued.ok("reissue", NAME).err
