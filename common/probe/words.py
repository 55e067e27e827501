"""The output for people, in lines: one certificate in full, several as a table, fingerprints side by side. Pure
but for the form of a table, which the command line knows.
"""

from collections.abc import Iterator, Sequence

from cryptography import x509

from common.certificate import (
    certified_names,
    fingerprint,
    issuer_text,
    not_after,
    not_before,
    serial_text,
    subject_text,
)
from common.clock import duration_text, utc_text
from common.command_line import table
from common.probe.conclude import conclusions
from common.probe.shown import Shown, key_text

_COVERED = {True: "yes", False: "NO", None: "not asked: the host is an address that the certificate does not name"}
_HEAD = ["TARGET", "ADDRESS", "NAME", "STATE", "SHA256", "KEY", "TLS", "HANDSHAKE", "LEFT", "STAPLE", "REVOKED"]
_HEAD += ["DATABASE"]
_STAPLED = {True: "", False: "none", None: "?"}


def lines(all_shown: Sequence[Shown], now: float) -> list[str]:
    """The whole output: a table for more than one look, what is wrong, and each certificate once in full. *now*: epoch
    seconds."""
    if len(all_shown) == 1:
        one = all_shown[0]
        return [_headline(one, now), *_certificate(one, now), *_look(one), *_doubts(one, now)]
    said = table(_HEAD, [_row(one, now) for one in all_shown])
    for one in all_shown:
        said += [_headline(one, now)] if one.problems(now) else []
        said += _doubts(one, now)
    said += conclusions(all_shown, now)
    for one in {fingerprint(one.leaf): one for one in reversed(all_shown) if one.leaf is not None}.values():
        said += ["", *_certificate(one, now)]
    return said


def _headline(one: Shown, now: float) -> str:
    problems = one.problems(now)
    what = f"NOT WELL: {'; '.join(problems)}" if problems else "ok"
    return f"{_where(one)}  {what}"


def _doubts(one: Shown, now: float) -> list[str]:
    return [f"{_where(one)}  {doubt}" for doubt in one.doubts(now)]


def _where(one: Shown) -> str:
    place = one.place
    asked = place.name if place.name != place.target.server_name else ""
    return "  ".join(filter(None, (place.target.text, place.address, asked)))


def _row(one: Shown, now: float) -> list[str]:
    place, leaf, view = one.place, one.leaf, one.view
    state = "NOT WELL" if one.problems(now) else "ok"
    row = [place.target.text, place.address, place.name or "-", state]
    if leaf is None:
        return [*row, *["-"] * (len(_HEAD) - len(row))]
    left = not_after(leaf) - now
    return [
        *row,
        fingerprint(leaf)[:16],
        key_text(leaf),
        view.version,
        "-" if view.seconds is None else f"{view.seconds * 1000:.0f} ms",
        duration_text(left) if left > 0 else "expired",
        _STAPLED[one.staple.is_there] or one.staple.says.status.value,
        one.revocation.status.value,
        one.verdict.match.value,
    ]


def _certificate(one: Shown, now: float) -> Iterator[str]:
    """The facts in the certificate."""
    leaf = one.leaf
    if leaf is None:
        return
    days = int((not_after(leaf) - now) // 86400)
    yield f"  names        {', '.join(sorted(certified_names(leaf)))}"
    yield f"  issuer       {issuer_text(leaf)}"
    yield f"  serial       {serial_text(leaf)}"
    yield f"  valid        {utc_text(not_before(leaf))} to {utc_text(not_after(leaf))} ({days} days left)"
    yield f"  sha256       {fingerprint(leaf)}"
    yield f"  key          {key_text(leaf)}"
    for link in one.certificates[1:] or [None]:
        yield f"  chain        {_chain_text(link)}"
    yield f"  revocation   {one.revocation.sentence}"


def _look(one: Shown) -> Iterator[str]:
    """The lines that may differ at another address."""
    if one.leaf is None:
        return
    there = _STAPLED[one.staple.is_there]
    yield f"  host covered {_COVERED[one.is_covered]}"
    took = "" if one.view.seconds is None else f", in {one.view.seconds * 1000:.0f} ms"
    yield f"  handshake    {one.view.version} ({one.place.target.scheme}){took}"
    yield f"  staple       {'; '.join(filter(None, (there, one.staple.problem))) or one.staple.says.sentence}"
    yield f"  database     {'; '.join(filter(None, (one.verdict.match.value, one.verdict.why)))}"


def _chain_text(link: x509.Certificate | None) -> str:
    if link is None:
        return "none is shown"
    return f"{subject_text(link)}, issued by {issuer_text(link)}, valid to {utc_text(not_after(link))}"
