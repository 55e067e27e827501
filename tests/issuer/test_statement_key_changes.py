"""Another key for statements: everything is signed again, whatever is killed, put back or gone back to meanwhile."""

import signal
from pathlib import Path

import pytest

from common.errors import ConfigError
from common.issuer_key import issuer_key_id, parse_issuer_key
from common.statement import parse_signed, successor
from issuer.trust.statements import Statements
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.signed import NAME, OTHER, put_back, statement, steal, take_in


def test_another_key(lone_box: Box) -> None:
    """Everything is signed again, agents are led from the old key to the new one, also through two changes; what
    somebody has put into the table meanwhile is not signed, and told."""
    take_in(lone_box)
    take_in(lone_box, OTHER)
    before, first = statement(lone_box), Statements(lone_box.state_dir).key().public
    for _ in range(2):
        outcome = lone_box.ok("key", "rollover")
        assert "signed 2 certificates" in outcome.out
    after, key = statement(lone_box), Statements(lone_box.state_dir).key()
    assert (after.sha256, after.older) == (before.sha256, False)
    assert after.sequence > before.sequence
    shown = lone_box.ok("key", "show", "--json").report()
    assert parse_issuer_key(shown["issuer_key"]) == key.public
    assert shown["id"] == issuer_key_id(key.public)
    text = parse_signed(str(lone_box.row(NAME, "statement")[0]))
    assert successor(first, text.endorsements) == key.public
    steal(lone_box)
    says = [f"{NAME}: not signed: its statement is about another certificate than the present one"]
    assert "signed 1 certificate" in lone_box.fails("key", "rollover", says=says).out


def test_an_earlier_certificate_at_a_change_of_the_key(lone_box: Box) -> None:
    """Somebody puts it back with its statement, before the change or after it: neither the new key signs it, nor does
    it pass for the last one."""
    take_in(lone_box)
    keep = lone_box.row(NAME, "crt", "ca", "statement")
    take_in(lone_box)
    good = lone_box.row(NAME, "crt", "ca", "statement")
    put_back(lone_box, keep)
    says = [f"{NAME}: not signed: its certificate is not the last one that an issuer signed"]
    lone_box.fails("key", "rollover", says=says)
    assert "not signed" in lone_box.run("status").out
    put_back(lone_box, good)
    lone_box.ok("key", "sign", NAME, "--yes")
    lone_box.ok("key", "rollover")
    put_back(lone_box, keep)
    assert "not signed" in lone_box.run("status").out
    lone_box.fails("key", "rollover", says=[f"{NAME}: not signed"])


def test_going_back_is_meant_after_a_change_of_the_key_too(lone_box: Box, tmp_path: Path) -> None:
    """A host that has not gone back yet still learns that it is meant."""
    take_in(lone_box)
    take_in(lone_box)
    lone_box.ok("rollback", NAME)
    lone_box.ok("key", "rollover")
    assert statement(lone_box).older


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("place", "when", "nth"),
    [
        ("issuer.trust.statements:Statements.begin_change", "after", 1),
        ("issuer.trust.statements:StatementKey.sign", "before", 2),
        ("issuer.store.statements:_portion", "after", 1),
        ("issuer.trust.statements:Statements.end_change", "before", 1),
        ("issuer.trust.statements:Statements.end_change", "after", 1),
    ],
)
def test_a_change_of_the_key_that_is_killed(lone_box: Box, place: str, when: str, nth: int) -> None:
    """Whatever is stored until somebody types it again is signed by the new key, with its endorsement; then it goes on,
    and makes no third key."""
    take_in(lone_box)
    take_in(lone_box, OTHER)
    first = Statements(lone_box.state_dir).key().public
    assert killed_run(lone_box, place, when, nth, ["key", "rollover"]) == -signal.SIGKILL
    meanwhile = Statements(lone_box.state_dir)
    second, unfinished = meanwhile.key(), meanwhile.changing
    take_in(lone_box)
    assert second.has_signed(str(lone_box.row(NAME, "statement")[0]))
    if unfinished:
        assert "not every certificate is signed by it yet" in lone_box.run("check").out
        lone_box.ok("key", "rollover")
    assert not meanwhile.changing
    assert meanwhile.key().public == second.public
    for name in (NAME, OTHER):
        text = str(lone_box.row(name, "statement")[0])
        assert second.has_signed(text)
        assert successor(first, parse_signed(text).endorsements) == second.public


def test_a_process_that_runs_follows_its_key(tmp_path: Path) -> None:
    """It reads the files only where they have changed, as a change of the key, a careless chmod or a deletion does."""
    running = Statements(tmp_path)
    running.create()
    first = running.key()
    assert running.key() is first
    other = Statements(tmp_path)
    second = other.begin_change(lost=False)
    assert (running.key().public, running.key().before) == (second.public, first.public)
    other.end_change()
    assert (running.key().public, running.key().before) == (second.public, None)
    running.file.chmod(0o644)
    with pytest.raises(ConfigError, match="its mode is 0644"):
        running.key()
    running.file.chmod(0o600)
    assert running.key().public == second.public
    running.file.unlink()
    with pytest.raises(ConfigError, match="no key to sign"):
        running.key()
