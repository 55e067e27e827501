"""The probe on a real news server: `make drill` alone fetches one."""

from functools import partial

import pytest

from tests.common.test_probe_services import NAME, SECONDS, by_openssl, pem, seen, shows
from tests.servers.authority import Authority
from tests.servers.nnrpd import Nnrpd
from tests.servers.process import wait_until


@pytest.mark.drill
def test_nnrpd_shows_what_openssl_sees() -> None:
    """Leaf, chain and version of TLS after STARTTLS (RFC 4642), and a new certificate without a word to it."""
    authority = Authority("Test Root").intermediate("Test Intermediate")
    first, second = authority.issue([NAME]), authority.issue([NAME])
    with Nnrpd(first) as service:
        view = seen(service.target())
        assert view == by_openssl(service, "nntp")
        assert b"".join(map(pem, view.shown)) == first.fullchain_pem
        service.put(second)
        wait_until(partial(shows, service.target(), second), "the new one", SECONDS)
