"""The audit comes before everything else in a run and in the daemon: whatever it meets ends nothing else."""

import pytest

from tests.common.der_by_hand import ED25519_KEY, RSA_PSS, certificate_pem
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.signing_requests import csr

NAME, OTHER = "www.lab.test", "other.lab.test"
FAULT = (
    "import issuer.loops.audit as a\ndef fault(*words, **named): raise ZeroDivisionError('a fault')\n"
    "a.of_certificate = fault"
)


def test_a_chain_that_nobody_could_read_ends_no_run(box: Box) -> None:
    """A certificate in it, signed by RSA-PSS without parameters, is a finding of its row; what is due is issued."""
    box.enrol(NAME)
    box.ok("run")
    odd = certificate_pem(ED25519_KEY, RSA_PSS).hex()
    box.database.execute(f"UPDATE certs SET ca = X'{odd}', audit_at = NULL WHERE name = '{NAME}'")  # noqa: S608
    box.enrol(OTHER)
    outcome = box.run("run")
    assert f"{OTHER}: stored" in outcome.out, outcome


@pytest.mark.soak
def test_the_daemon_hears_whatever_the_audit_meets(box: Box) -> None:
    """A fault of ours at each certificate hides no row that somebody changed."""
    box.enrol(NAME)
    box.ok("run")
    box.database.execute(f"UPDATE certs SET csr = X'{csr([NAME], number=1).hex()}', audit_at = NULL")  # noqa: S608
    with Service(box, prelude=FAULT) as service:
        [told] = service.wait_logged("certificate.failed")
        [failed] = service.wait_logged("periodic.failed")
    assert "another key than the one that was enrolled" in str(told["error"])
    assert f"not audited: {NAME}" in str(failed["error"])
