"""A command that a person has typed is killed in the middle: the same command, typed again, gets to its end."""

import json
import os
import signal
from pathlib import Path

import pytest

from issuer.ca.account import account_id, load_account_key
from tests.issuer.acme.test_rollover import INSTANTS
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.servers.authority import Authority

NAME = "www.lab.test"


@pytest.mark.soak
@pytest.mark.parametrize(
    "place", ["issuer.ca.client:AcmeCa.revoke", "issuer.store.history:History.mark_revoked"], ids=["asked", "marked"]
)
def test_a_revocation_is_finished(box: Box, place: str) -> None:
    """Killed when the CA had revoked it, or when it was written down but the row was not disabled yet."""
    box.enrol(NAME)
    box.ok("run")
    revoke = ("revoke", NAME, "--reason", "1", "--yes")
    assert killed_run(box, place, "after", 1, revoke) == -signal.SIGKILL
    box.ok(*revoke)
    assert box.row(NAME, "revoked", "enable") == ("Y", "N")


@pytest.mark.sampled
@pytest.mark.parametrize("step", ["refuse_under_way", "replace_present", "add_event", "add_version"])
def test_an_import_is_all_or_nothing(lone_box: Box, tmp_path: Path, step: str) -> None:
    """Killed at any step it leaves no row without a certificate, which would pass for one that ACME renews."""
    file = tmp_path / "bought.pem"
    file.write_bytes(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    take_in = ("import", NAME, "--crt", str(file))
    assert killed_run(lone_box, f"issuer.store.history:{step}", "before", 1, take_in) == -signal.SIGKILL
    assert lone_box.database.query("SELECT name FROM certs") == []
    lone_box.ok(*take_in)


@pytest.mark.sampled
@pytest.mark.parametrize(("step", "when"), INSTANTS)
def test_a_change_of_the_account_key_is_finished(box: Box, step: str, when: str) -> None:
    """Killed at any step: the next run goes on with the same account, and the command with another key for it."""

    def account() -> tuple[str, str]:
        [shown] = json.loads(box.ok("account", "show", "--json").out)
        return shown["url"], shown["thumbprint"]

    box.enrol(NAME)
    box.ok("run")
    url, thumbprint = account()
    place = step.replace("change_key", "KeyAccount.change_key")
    assert killed_run(box, f"issuer.commands.rollover:{place}", when, 1, ("account", "rollover")) == -signal.SIGKILL
    box.ok("run")
    directory, of_row = box.row(NAME, "directory", "account")
    assert of_row == account_id(str(directory), load_account_key(box.state_dir / "account.pem"))
    box.ok("reissue", NAME)
    assert not os.path.lexists(box.state_dir / "account.pem.new")
    begun = (step, when) != INSTANTS[0]
    assert (account()[0], account()[1] != thumbprint) == (url, begun)
    box.ok("account", "rollover")
    assert account()[0] == url
    box.ok("reissue", NAME)
