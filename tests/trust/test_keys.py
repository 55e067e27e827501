"""Thieves with one key of the central box."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import dns.query
import dns.rcode
import dns.update

from common.certificate import parse_bundle
from common.config_file import load
from issuer.ca.client import AcmeCa
from issuer.commands.wiring import build_authority
from issuer.dns.write.tsig import load_tsig_key
from issuer.model.config import Settings
from issuer.model.errors import AcmeProblem
from tests.issuer.box import Box
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.trust.conftest import NAME, OTHER, gets
from tests.trust.thief import Thief

Den = Callable[..., Box]


def test_the_key_of_one_zone(box: Box, den: Den, lab: Lab) -> None:
    """It answers challenges for the names of that zone, from any account, and changes nothing else."""
    thief = Thief("The TSIG key of one zone")
    his = den(tsig=Path(box.document["dns"]["tsig_key_file"]))
    thief.tries("a certificate for his own key, for a name whose challenges the zone answers", got=gets(his, NAME))
    thief.tries("the same for a name with another zone and key", got=gets(his, OTHER))
    thief.tries("a change of another record than the TXT record of the challenge", got=_writes_an_address(his, lab))
    thief.is_told()


def test_the_account_key(box: Box, den: Den, lab: Lab, tmp_path: Path) -> None:
    """It acts on the account. It proves nothing about a name, but the CA may remember what we proved."""
    thief = Thief("The account key")
    his = den(account=box.state_dir / "account.pem")
    box.forget_validations()
    thief.tries("a certificate for his own key, for a name that the CA has to validate", got=gets(his, NAME))
    [crt, chain] = box.row(NAME, "crt", "ca")
    with contextlib.closing(build_authority(load(Settings, his.config), "")) as ca:
        thief.tries("the revocation of a certificate that the account ordered", got=_revokes(ca, crt, chain))
    with Pebble(tmp_path / "reusing", lab.bind.endpoint, authz_reuse=100) as reusing:
        for each in (box, his):
            each.trust(reusing)
            each.write()
        box.ok("reissue", NAME, "--yes")
        his.ok("remove", NAME, "--yes")
        thief.tries("a certificate for his own key, while the CA remembers our validation", got=gets(his, NAME))
        thief.tries("the end of the account", got=his.run("account", "deactivate", "--yes").code == 0)
    thief.is_told()


def _writes_an_address(his: Box, lab: Lab) -> bool:
    """Signed with the stolen key, in the zone that it is for."""
    zone = f"_acme-challenge.{NAME}."
    key = load_tsig_key(Path(his.document["dns"]["tsig_key_file"]))
    update = dns.update.UpdateMessage(zone, keyring=key)
    update.add(zone, 60, "A", "192.0.2.66")
    return dns.query.tcp(update, lab.bind.address, 5, lab.bind.port).rcode() == dns.rcode.NOERROR


def _revokes(ca: AcmeCa, crt: bytes, chain: bytes) -> bool:
    try:
        ca.revoke(parse_bundle(bytes(crt), bytes(chain)), 0)
    except AcmeProblem:
        return False
    return True
