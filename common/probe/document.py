"""The document of `probe --json`, for programs. Pure."""

from collections.abc import Sequence
from typing import Any

from cryptography import x509

from common.certificate import (
    certified_names,
    fingerprint,
    issuer_text,
    must_staple,
    not_after,
    not_before,
    serial_text,
    subject_text,
)
from common.clock import utc_text
from common.probe.conclude import conclusions
from common.probe.shown import Shown, key_text


def whole(all_shown: Sequence[Shown], now: float) -> dict[str, Any]:
    """Everything that was seen at *now* (epoch seconds), and what it says together."""
    return {"targets": [facts(one, now) for one in all_shown], "conclusions": conclusions(all_shown, now)}


def facts(one: Shown, now: float) -> dict[str, Any]:
    """One look. "well" says that nothing is wrong."""
    place, problems = one.place, one.problems(now)
    document: dict[str, Any] = {
        "target": place.target.text,
        "protocol": place.target.scheme,
        "address": place.address,
        "family": place.family or None,
        "own_address": place.is_own,
        "server_name": place.name or None,
        "seen": one.view.seen.value,
        "well": not problems,
        "problem": "; ".join(problems),
        "doubts": one.doubts(now),
        "handshake_seconds": None if one.view.seconds is None else round(one.view.seconds, 6),
    }
    return document | _certificate(one, one.leaf, now) if one.leaf is not None else document


def _certificate(one: Shown, leaf: x509.Certificate, now: float) -> dict[str, Any]:
    return {
        "names": sorted(certified_names(leaf)),
        "issuer": issuer_text(leaf),
        "serial": serial_text(leaf),
        "not_before": utc_text(not_before(leaf)),
        "not_after": utc_text(not_after(leaf)),
        "days_left": int((not_after(leaf) - now) // 86400),
        "sha256": fingerprint(leaf),
        "host_covered": one.is_covered,
        "key": key_text(leaf),
        "tls": one.view.version,
        "chain": list(map(_link, one.certificates[1:])),
        "staple": {
            "there": one.staple.is_there,
            "problem": one.staple.problem,
            "demanded": must_staple(leaf),
            **one.staple.says.fields,
        },
        "revocation": one.revocation.fields,
        "database": {"verdict": one.verdict.match.value, "why": one.verdict.why, "name": one.verdict.name or None},
    }


def _link(certificate: x509.Certificate) -> dict[str, str]:
    """A certificate that was shown beside the leaf."""
    return {
        "subject": subject_text(certificate),
        "issuer": issuer_text(certificate),
        "not_after": utc_text(not_after(certificate)),
        "sha256": fingerprint(certificate),
    }
