"""The CA's directory in a process that lives for months."""

import json
import time
from collections.abc import Iterator

import pytest

from common.config_file import load
from issuer.ca import transport
from issuer.ca.client import AcmeCa
from issuer.model.config import Settings
from issuer.model.errors import AcmeProblem
from tests.issuer.box import Box
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply, problem, times

NAMES = ["www.lab.test"]
MAINTENANCE = json_reply({"status": "down for maintenance"})


class Profiles:
    """A CA whose directory has *offered*, and which refuses an order for any other profile."""

    def __init__(self, *offered: str) -> None:
        self.offered = offered

    def show(self, request: Request, reply: Reply) -> Reply:
        if request.path != "/dir":
            return reply
        return json_reply({**json.loads(reply.body), "meta": {"profiles": dict.fromkeys(self.offered, "words")}})

    def refuse(self, request: Request) -> Reply | None:
        profile = (request.payload or {}).get("profile")
        wrong = "order-plz" in request.path and profile and profile not in self.offered
        return problem("invalidProfile", f"there is no {profile}", 400) if wrong else None


@pytest.fixture
def ca(proxied: Box) -> Iterator[AcmeCa]:
    proxied.write(acme={"profile": "classic"})
    settings = load(Settings, proxied.config)
    made = AcmeCa(settings, settings.acme, time.time)
    yield made
    made.close()


def test_a_page_that_is_no_directory_is_not_kept(ca: AcmeCa, proxy: CaProxy) -> None:
    """A maintenance page at the first look is one failure; the next attempt finds the CA well."""
    proxy.before.append(times(1, "/dir", MAINTENANCE))
    with pytest.raises(AcmeProblem, match="is not an ACME server: its directory has no 'newNonce'"):
        ca.open_order(NAMES)
    assert ca.open_order(NAMES).status == "pending"
    assert len(proxy.paths("/dir")) == 2


def test_a_directory_is_fetched_again_after_a_day(ca: AcmeCa, proxy: CaProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the CA offers by then counts. Where it cannot be fetched the one that is known serves on."""
    for setting in ("_FRESH_SECONDS", "_AGAIN_SECONDS"):
        monkeypatch.setattr(transport, setting, 0)
    profiles = Profiles("classic")
    proxy.after.append(profiles.show)
    assert ca.meta()["profiles"] == {"classic": "words"}
    profiles.offered = ("shortlived",)
    for page in (MAINTENANCE, Reply(500, b"")):
        proxy.before.append(times(1, "/dir", page))
        assert ca.meta()["profiles"] == {"classic": "words"}
    assert ca.meta()["profiles"] == {"shortlived": "words"}


def test_a_profile_that_the_ca_has_taken_back(ca: AcmeCa, proxy: CaProxy) -> None:
    """It is refused once; then the directory says that there is none."""
    profiles = Profiles("classic")
    proxy.after.append(profiles.show)
    proxy.before.append(profiles.refuse)
    assert ca.open_order(NAMES).status == "pending"
    profiles.offered = ()
    with pytest.raises(AcmeProblem, match="there is no classic"):
        ca.open_order(NAMES)
    assert ca.open_order(NAMES).status == "pending"
