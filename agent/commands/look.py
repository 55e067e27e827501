"""What ``probe`` says about a served certificate: facts for people, taken from one look at one address."""

from typing import Any

from agent.rules.evidence import Seen, Sight
from common.certificate import dns_names, issuer_text, not_after, not_before, serial_text
from common.clock import utc_text
from common.names import covers


def facts(sight: Sight, host: str, now: float) -> dict[str, Any]:
    """The facts of *sight*; *host* is the name asked for, "" where that was an address. "well": nothing is wrong."""
    document: dict[str, Any] = {"target": sight.target, "address": sight.address, "seen": sight.seen.value}
    if sight.seen is not Seen.SERVED:
        return {**document, "well": False, "problem": sight.problem}
    from cryptography import x509  # noqa: PLC0415 - 50 ms that a look at nothing need not pay

    try:
        leaf = x509.load_der_x509_certificate(sight.certificate)
        names = sorted(dns_names(leaf))
    except ValueError as error:
        return {**document, "well": False, "problem": f"what it shows cannot be parsed: {error}"}
    covered = any(covers(pattern, host) for pattern in names) if host else None
    in_time = not_before(leaf) <= now < not_after(leaf)
    problems = [] if in_time else ["it is expired or not yet valid"]
    problems += [f"it does not cover {host}"] if covered is False else []
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
