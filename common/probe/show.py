"""The command `probe` of both sides: shows which certificates live sockets serve. It looks once at each address, and
once more for each type of key that the service may have another certificate for.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.certificate import (
    PARSE_ERRORS,
    certified_names,
    fingerprint,
    is_signed_by,
    issuer_text,
    not_after,
    not_before,
    serial_text,
    subject_text,
)
from common.clock import utc_text
from common.command_line import report, say
from common.errors import ConfigError, Finding
from common.names import covers
from common.probe.look import address_text, addresses, is_of_this_host, look, why
from common.probe.target import ProbeTarget, parse_target
from common.probe.view import KeyType, Seen, View
from common.revocation import Limits, Revocation, ask

_SECONDS = 10.0  # for one look
_COVERED = {True: "yes", False: "NO", None: "not asked: the host is an address that the certificate does not name"}
_TYPES: tuple[KeyType, ...] = ("rsa", "ecdsa")


def show(targets: Sequence[str], now: float, *, as_json: bool) -> int:
    """Look at every target. Exit code 1 unless every address shows a certificate that is valid at *now* (epoch seconds)
    for its host. Raises ConfigError for what is no target."""
    found = [one for target in list(map(_target, targets)) for one in _all_facts(target, now)]
    if as_json:
        report({"targets": found})
    else:
        for one in found:
            _say(one)
    return 0 if all(one["well"] for one in found) else 1


def _target(text: str) -> ProbeTarget:
    try:
        return parse_target(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise ConfigError("probe", [Finding("", str(error))]) from error


def _all_facts(target: ProbeTarget, now: float) -> Iterator[dict[str, Any]]:
    document: dict[str, Any] = {"target": target.text, "protocol": target.scheme}
    try:
        found = addresses(target)
    except (OSError, UnicodeError) as error:
        problem = f"{target.connect_host} has no address ({why(error)})"
        place = {"address": target.connect_host, "seen": Seen.UNKNOWN.value}
        yield {**document, **place, "well": False, "problem": problem}
        return
    for address in found:
        document |= {"address": address_text(address), "own_address": is_of_this_host(address)}
        first = look(target, address, target.server_name, _SECONDS)
        types = _TYPES if first.seen is Seen.SERVED else ()
        others = [look(target, address, target.server_name, _SECONDS, key_type) for key_type in types]
        shown = {view.shown[0]: view for view in others if view.seen is Seen.SERVED}
        for view in (first, *(view for leaf, view in shown.items() if leaf not in first.shown[:1])):
            yield {**document, "seen": view.seen.value, **_facts(view, target, now)}


def _facts(view: View, target: ProbeTarget, now: float) -> dict[str, Any]:
    """The facts of *view*. "well" says that nothing is wrong. A host is often looked at by an address that its
    certificate does not name, and that is no fault."""
    if view.seen is not Seen.SERVED:
        return {"well": False, "problem": view.problem}
    try:
        leaf, *chain = map(x509.load_der_x509_certificate, view.shown)
        names = sorted(certified_names(leaf))
        key = _key_text(leaf)
    except PARSE_ERRORS as error:
        return {"well": False, "problem": f"a certificate shown cannot be parsed: {error}"}
    covered = any(covers(pattern, target.host) for pattern in names) or (False if target.server_name else None)
    problems = [f"it is not valid before {utc_text(not_before(leaf))}"] if now < not_before(leaf) else []
    problems += [f"it expired at {utc_text(not_after(leaf))}"] if not_after(leaf) <= now else []
    problems += [f"it does not cover {target.host}"] if covered is False else []
    revocation = _revocation(leaf, chain, now)
    problems += [f"it is revoked since {utc_text(revocation.since or 0)}"] if revocation.revoked else []
    return {
        "well": not problems,
        "problem": "; ".join(problems),
        "names": names,
        "issuer": issuer_text(leaf),
        "serial": serial_text(leaf),
        "not_before": utc_text(not_before(leaf)),
        "not_after": utc_text(not_after(leaf)),
        "days_left": int((not_after(leaf) - now) // 86400),
        "sha256": fingerprint(leaf),
        "host_covered": covered,
        "key": key,
        "tls": view.version,
        "chain": list(map(_link, chain)),
        "revocation": _told(revocation),
    }


def _revocation(leaf: x509.Certificate, chain: Sequence[x509.Certificate], now: float) -> Revocation:
    """What the issuer says. It is asked by the certificate that is shown for it; without one nobody is."""
    issuer = next((one for one in chain if is_signed_by(leaf, one)), None)
    if issuer is None:
        return Revocation(problems=(Finding("", "the certificate of its issuer is not shown"),))
    return ask(leaf, issuer, Limits(), now)


def _told(revocation: Revocation) -> dict[str, Any]:
    return {
        "status": revocation.status.value,
        "asked": list(revocation.asked),
        "available": revocation.available,
        "revoked": revocation.revoked,
        "since": None if revocation.since is None else utc_text(revocation.since),
        "reason": revocation.reason,
        "problems": list(map(str, revocation.problems)),
    }


def _link(certificate: x509.Certificate) -> dict[str, str]:
    """A certificate that was shown beside the leaf."""
    return {
        "subject": subject_text(certificate),
        "issuer": issuer_text(certificate),
        "not_after": utc_text(not_after(certificate)),
        "sha256": fingerprint(certificate),
    }


def _key_text(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"ECDSA {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _say(one: dict[str, Any]) -> None:
    say(f"{one['target']}  {one['address']}  {'ok' if one['well'] else 'NOT WELL: ' + one['problem']}")
    if "names" not in one:
        return
    say(f"  names        {', '.join(one['names'])}")
    say(f"  issuer       {one['issuer']}")
    say(f"  serial       {one['serial']}")
    say(f"  valid        {one['not_before']} to {one['not_after']} ({one['days_left']} days left)")
    say(f"  sha256       {one['sha256']}")
    say(f"  key          {one['key']}, in {one['tls']} ({one['protocol']})")
    for link in one["chain"] or [None]:
        say(f"  chain        {_chain_text(link)}")
    say(f"  revocation   {'; '.join([one['revocation']['status'], *one['revocation']['problems']])}")
    say(f"  host covered {_COVERED[one['host_covered']]}")


def _chain_text(link: dict[str, str] | None) -> str:
    if link is None:
        return "none is shown"
    return f"{link['subject']}, issued by {link['issuer']}, valid to {link['not_after']}"
