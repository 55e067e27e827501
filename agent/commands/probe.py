"""probe: shows which certificate a live socket serves. It looks once at each address of the socket."""

import argparse
import time
from typing import Any

from cryptography import x509

from agent.host.sockets import Prober
from agent.host.waits import Waits
from agent.model.probe_targets import ProbeTarget, parse_target
from agent.rules.evidence import Seen, Sight
from common.certificate import certified_names, issuer_text, not_after, not_before, serial_text
from common.clock import utc_text
from common.command_line import report, say
from common.errors import ConfigError, Finding
from common.names import covers

_COVERED = {True: "yes", False: "NO", None: "not asked: the host is an address that the certificate does not name"}


def probe(arguments: argparse.Namespace) -> int:
    """Look at every TARGET. Exit code 1 unless every address shows a certificate that is valid now for its host."""
    targets = [_target(text) for text in arguments.target]
    sockets, now = Prober(0, Waits()), time.time()
    found = [_facts(sight, one, now) for one in targets for sight in sockets.look([one], "")]
    if arguments.json:
        report({"targets": found})
    else:
        for one in found:
            _show(one)
    return 0 if all(one["well"] for one in found) else 1


def _target(text: str) -> ProbeTarget:
    try:
        return parse_target(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise ConfigError("probe", [Finding("", str(error))]) from error


def _facts(sight: Sight, target: ProbeTarget, now: float) -> dict[str, Any]:
    """The facts of *sight*. "well" says that nothing is wrong. A host is often looked at by an address that its
    certificate does not name, and that is no fault."""
    document: dict[str, Any] = {"target": sight.target, "address": sight.address, "seen": sight.seen.value}
    if sight.seen is not Seen.SERVED:
        return {**document, "well": False, "problem": sight.problem}
    try:
        leaf = x509.load_der_x509_certificate(sight.certificate)
        names = sorted(certified_names(leaf))
    except ValueError as error:
        return {**document, "well": False, "problem": f"the certificate shown cannot be parsed: {error}"}
    covered = any(covers(pattern, target.host) for pattern in names) or (False if target.server_name else None)
    problems = [f"it is not valid before {utc_text(not_before(leaf))}"] if now < not_before(leaf) else []
    problems += [f"it expired at {utc_text(not_after(leaf))}"] if not_after(leaf) <= now else []
    problems += [f"it does not cover {target.host}"] if covered is False else []
    return {
        **document,
        "well": not problems,
        "problem": "; ".join(problems),
        "names": names,
        "issuer": issuer_text(leaf),
        "serial": serial_text(leaf),
        "not_before": utc_text(not_before(leaf)),
        "not_after": utc_text(not_after(leaf)),
        "days_left": int((not_after(leaf) - now) // 86400),
        "sha256": sight.sha256,
        "host_covered": covered,
    }


def _show(one: dict[str, Any]) -> None:
    say(f"{one['target']}  {one['address']}  {'ok' if one['well'] else 'NOT WELL: ' + one['problem']}")
    if "names" not in one:
        return
    say(f"  names        {', '.join(one['names'])}")
    say(f"  issuer       {one['issuer']}")
    say(f"  serial       {one['serial']}")
    say(f"  valid        {one['not_before']} to {one['not_after']} ({one['days_left']} days left)")
    say(f"  sha256       {one['sha256']}")
    say(f"  host covered {_COVERED[one['host_covered']]}")
