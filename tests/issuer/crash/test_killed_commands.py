"""A command that a person has typed is killed in the middle: the same command, typed again, gets to its end."""

import signal

import pytest

from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run

NAME = "www.lab.test"


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
