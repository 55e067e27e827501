"""`approve`: a certificate from another CA waits in the database until a person gives it to the hosts."""

import pytest

from issuer.rules.csr import read_csr
from tests.issuer.box import Box
from tests.servers.authority import Authority

NAME = "www.lab.test"


@pytest.fixture
def kept(resolving_box: Box) -> tuple[Box, bytes]:
    """A box in which the renewal of a certificate comes from another CA than before, and waits; and the present one."""
    box = resolving_box
    box.write(renewal={"on_ca_change": "hold"})
    box.enrol(NAME)
    box.put_aged(NAME, days=90, left=25)
    [present] = box.row(NAME, "crt")
    told = box.ok("run").out
    assert "it waits for approval until" in told
    return box, present


def test_it_waits_and_is_approved(kept: tuple[Box, bytes]) -> None:
    """Every command tells it, none orders again; `approve` gives it to hosts once, with a statement."""
    box, present = kept
    assert box.row(NAME, "crt") == (present,)
    assert box.ok("run").out == "nothing is due\n"
    assert "a certificate from another CA waits for approval" in box.ok("status").out
    assert "  approval      a certificate from another CA waits for `approve`" in box.ok("status", NAME).out
    assert box.ok("status", NAME, "--json").report()["certificates"][0]["awaits_approval_until"]
    assert "awaits approval" in box.ok("history", NAME).out
    assert "its next certificate comes from another CA and waits for approval" in box.ok("status", NAME).out
    assert "waits for approval" in box.run("check", NAME).out
    assert box.ok("approve").out.startswith(f"{NAME}: a certificate from another CA waits for approval")
    for words, phrase in (
        (["www.lab.tset"], "did you mean www.lab.test?"),
        ([NAME, "--all"], "--all goes with no name"),
    ):
        refused = box.run("approve", *words)
        assert (refused.code, phrase in refused.err) == (2, True)
    assert box.ok("approve", "--all").out.startswith(f"{NAME}: approved (serial ")
    [crt, unapproved] = box.row(NAME, "crt", "unapproved")
    assert crt != present
    assert unapproved is None
    assert box.ok("approve", NAME).out == f"{NAME}: no certificate waits for approval\n"
    assert box.ok("approve").out == box.ok("approve", "--all").out == "no certificate waits for approval\n"
    assert box.ok("run").out == "nothing is due\n"
    assert NAME in box.ok("status", NAME).out, "it is signed: exit code 0"
    assert "which waited for approval" in box.ok("history", NAME).out


def test_a_rollback_does_not_go_back_to_what_no_host_had(kept: tuple[Box, bytes]) -> None:
    box, present = kept
    box.fails("rollback", NAME, "--yes", says=["there is no earlier certificate"])
    assert box.row(NAME, "crt") == (present,)


def test_a_thief_approves_nothing(kept: tuple[Box, bytes]) -> None:
    """Neither a certificate of his own in the versions, nor another end of the wait, nor an earlier line."""
    box, present = kept
    [line, request] = box.row(NAME, "unapproved", "csr")
    foreign = Authority("Root").intermediate("CA").sign(read_csr(bytes(request)).pem)
    box.database.execute(f"UPDATE versions SET crt = X'{foreign.cert_pem.hex()}' WHERE unapproved = 'Y'")  # noqa: S608
    box.fails("approve", NAME, says=["another certificate waits for approval"])
    early = line.replace(line.split(",")[3], "1")
    box.database.execute(f"UPDATE certs SET unapproved = '{early}', due_at = NULL")  # noqa: S608
    box.fails("approve", NAME, says=["no issuer kept it there"])
    assert box.row(NAME, "crt") == (present,)
    assert f"{NAME}: stored" in box.ok("run").out, "a forged line keeps no renewal away: another one is ordered"
    assert box.row(NAME, "crt") == (present,), "and waits in its turn"
    box.ok("approve", NAME)
    box.database.execute(f"UPDATE certs SET unapproved = '{line}', due_at = NULL")  # noqa: S608
    box.fails("approve", NAME, says=["cannot be used"])
