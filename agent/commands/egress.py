"""egress: what the firewall before this host has to let through, where that is now, and whether it does."""

import argparse
import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

from agent.model.certificate import Certificate
from agent.rules.egress import of_agent, of_probes
from agent.settings.config import load_settings
from common.egress.certified import Certified
from common.egress.needs import Found, Need, merged, of_database, of_mail, plain_host, sightings, spots_of, with_reached
from common.egress.reach import Resolved, reach, resolve
from common.egress.show import show
from common.files import read_regular
from common.probe.addresses import is_of_this_host
from common.resolv_conf import nameservers

_RESOLVING_SECONDS, _REACHING_SECONDS = 10.0, 5.0
_INWARDS = "What a CA must reach here depends on how the names are validated: `certfleet-issuer egress` tells."


def egress(arguments: argparse.Namespace) -> int:
    """One look, by the system's resolver, which tells no TTL."""
    settings, certificates = load_settings(arguments.config)
    certified = Certified()
    for content in _live_certificates(certificates):
        certified.add(content)
    needs = [*of_database(settings.source.url), *of_mail(settings.notify), *of_agent(certificates, nameservers())]
    needs += of_probes(probe for one in certificates if one.host is not None for probe in one.probes)
    proofs = of_probes(probe for one in certificates if one.host is None for probe in one.probes)
    hosts = [passage.host for passage in merged([*needs, *certified.needs, *proofs])]
    resolved = resolve(list(dict.fromkeys(hosts)), _RESOLVING_SECONDS)
    elsewhere = [need for need in proofs if not _is_here(need, resolved)]
    now = int(time.time())
    found = [
        Found(one, sightings(dict.fromkeys(resolved[one.host].addresses), (), now), unresolved=resolved[one.host].why)
        for one in merged([*needs, *certified.needs, *elsewhere])
    ]
    found = with_reached(found, reach(spots_of(found), _REACHING_SECONDS))
    form, quiet = arguments.format, arguments.quiet
    return show(found, [], notes=[_INWARDS], form=form, as_json=arguments.json, quiet=quiet)


def _live_certificates(certificates: Sequence[Certificate]) -> Iterator[bytes]:
    """The live files of this host that hold a certificate. One that cannot be read is passed over: `check` says so."""
    for file in (file for certificate in certificates if certificate.host is None for file in certificate.files):
        if file.keystore is None and {"certificate", "chain"} & set(file.parts):
            with contextlib.suppress(OSError):
                yield read_regular(file.path)


def _is_here(need: Need, resolved: Mapping[str, Resolved]) -> bool:
    """Has the host of *need*, a proof of this machine's service, an address of it? Then no other one is looked at."""
    addresses = resolved[plain_host(need.host)].addresses if plain_host(need.host) else ()
    families = ((socket.AF_INET6 if ":" in address else socket.AF_INET, (address, need.port)) for address in addresses)
    return any(map(is_of_this_host, families))
