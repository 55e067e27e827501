"""A certificate that must be served with a staple (RFC 7633), looked at on the sockets that show it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from agent.rules.must_staple import socket_findings
from common.check_line import BAD, WARN
from common.errors import Finding
from common.probe.shown import Place, Shown, Staple, shown_at
from common.probe.target import parse_target
from common.probe.view import Seen, View
from common.revocation import Revocation
from tests.agent.host import NAME, Host
from tests.servers.authority import Authority, Issued
from tests.servers.ports import LOOPBACK
from tests.servers.postfix import Postfix
from tests.servers.revocation import response
from tests.servers.s_server import SServer

MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
CA = Authority("CA")
LEAF, OTHER = CA.issue([NAME], more=[MUST_STAPLE]).certificate, CA.issue([NAME]).certificate
PLACE = Place(parse_target(f"smtp://{NAME}"), NAME, "192.0.2.1:25", "IPv4")
GOOD = Staple(True, Revocation(("staple",), available=True, revoked=False))
STALE = Staple(True, Revocation(("staple",), problems=(Finding("staple", "the answer is stale"),)))
NONE, UNSEEN = Staple(is_there=False), Staple(None, problem="no answer in time")
OWN, ELSEWHERE = replace(PLACE, is_own=True), replace(PLACE, address="192.0.2.2:25")


def shown(staple: Staple, leaf: x509.Certificate = LEAF, place: Place = PLACE) -> Shown:
    view = View(Seen.SERVED, "", (leaf.public_bytes(Encoding.DER),))
    return replace(shown_at(place, view), staple=staple)


@pytest.mark.parametrize(
    ("looks", "kinds"),
    [
        ([shown(GOOD)], []),
        ([shown(NONE)], ["must-staple-missing"]),
        ([shown(STALE)], ["must-staple-not-good"]),
        ([shown(UNSEEN)], ["must-staple-unseen"]),
        ([shown(Staple(None))], []),
        ([shown(NONE, OTHER)], []),
        ([shown(NONE), shown(STALE, place=ELSEWHERE)], ["must-staple-missing", "must-staple-not-good"]),
        ([shown(GOOD, place=OWN), shown(NONE, place=ELSEWHERE)], []),
    ],
    ids=["good", "none", "stale", "unseen", "not asked", "another", "each address", "not of this host"],
)
def test_what_is_found(looks: Sequence[Shown], kinds: Sequence[str]) -> None:
    """A service that is never asked, another certificate, and what another host serves are no finding."""
    assert [line.kind for line in socket_findings(NAME, LEAF, looks, installed=True)] == kinds


def test_before_the_first_install() -> None:
    """It is replaced by the first run."""
    levels = [socket_findings(NAME, LEAF, [shown(NONE)], installed=one)[0].level for one in (True, False)]
    assert levels == [BAD, WARN]


def found(host: Host, issued: Issued, probe: str) -> dict[str, str]:
    """Install *issued*, and look at a socket that shows it: what `check` finds about the staple."""
    host.key.write_bytes(issued.key_pem)
    host.configure()
    host.offer(issued.cert_pem, issued.chain_pem)
    host.run()
    host.configure(probe=[probe])
    lines = host.agent("check", "--json").json["findings"]
    return {one["name"]: one["finding"] for one in lines if (one["name"] or "").startswith("must-staple")}


def test_a_service_that_does_not_staple(host: Host) -> None:
    """Postfix has no stapling."""
    with Postfix(issued := host.authority.issue([NAME], more=[MUST_STAPLE])) as postfix:
        target = f"smtp://{LOOPBACK}:{postfix.ports['smtp']}"
        told = found(host, issued, target)
        assert found(host, host.authority.issue([NAME]), target) == {}
    assert list(told) == ["must-staple-missing"]
    assert f"{target} ({LOOPBACK}:{postfix.ports['smtp']}) shows it without a staple" in told["must-staple-missing"]


@pytest.mark.parametrize("is_stale", [False, True], ids=["good", "stale"])
def test_a_service_that_staples(host: Host, tmp_path: Path, is_stale: bool) -> None:
    issued = host.authority.issue([NAME], more=[MUST_STAPLE])
    other = host.authority.issue([NAME], rsa.generate_private_key(public_exponent=65537, key_size=2048))
    since = datetime.fromtimestamp(time.time(), UTC) - timedelta(days=8 if is_stale else 1)
    staple = response(host.authority, issued.certificate, since=since)
    with SServer(tmp_path / "server", issued.write(tmp_path / "1"), other.write(tmp_path / "2"), staple) as server:
        told = found(host, issued, f"https://{LOOPBACK}:{server.port}")
    assert list(told) == (["must-staple-not-good"] if is_stale else [])
    assert not is_stale or "the answer is stale" in told["must-staple-not-good"]
