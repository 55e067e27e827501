"""A run is killed with its answer published, then somebody changes the row: the next run of the same issuer knows that
what was leased to it is nobody's now, and leaves nothing behind."""

import threading

import pytest

from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, problem, times

NAME = "www.lab.test"


def test_revoked_while_a_run_works_that_is_killed_then(proxied: Box, proxy: CaProxy) -> None:
    """The revocation left the run its lease, so that it could tidy up; the next one does."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.forget_validations()
    asked, answer = threading.Event(), threading.Event()

    def wait(request: Request) -> Reply | None:
        if "/chalZ/" in request.path:
            asked.set()
            answer.wait(60)
        return None

    proxy.before.append(wait)
    with proxied.start("reissue", NAME) as process:
        assert asked.wait(60)
        proxied.ok("revoke", NAME, "--reason", "1", "--yes")
        process.kill()
        process.communicate()
    answer.set()
    assert len(proxied.txt(NAME)) == 1
    proxied.ok("run")
    assert proxied.txt(NAME) == set()
    assert proxied.database.query("SELECT COUNT(*) FROM challenges") == [(0,)]


@pytest.mark.soak
def test_issued_but_not_fetched_then_damaged_for_a_while(proxied: Box, proxy: CaProxy) -> None:
    """What the CA has issued waits for the row to be mended; nothing is ordered a second time."""
    proxied.enrol(NAME)
    proxy.before.append(times(99, "/certZ/", problem("serverInternal", "later", 500)))
    proxied.fails("run", says=[f"{NAME}: failed"])
    proxy.before.clear()
    [(_, url)] = proxied.orders()
    [csr] = proxied.row(NAME, "csr")
    proxied.database.execute("UPDATE certs SET csr = 'x'")
    proxied.fails("run", "--retry", says=[f"`populate --replace {NAME} --csr FILE`"])
    proxied.database.execute(f"UPDATE certs SET csr = X'{bytes(csr).hex()}'")  # noqa: S608
    assert f"{NAME}: stored" in proxied.ok("run", "--retry").out
    assert proxied.orders() == [("STORED", url)]
