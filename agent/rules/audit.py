"""The faults of the certificate in the live files of a host. Pure: its bytes and a moment in, findings out.

The names of the findings are those of `certfleet-issuer audit`.
"""

from collections.abc import Iterable, Iterator

from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.model.result import Result
from agent.rules.standing import ending_hint, little_left, waits_for_window
from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    extended_usages,
    not_after,
    not_before,
    subject_text,
    weak_hash,
    weak_key,
)
from common.check_line import BAD, WARN, Line
from common.clock import duration_text, utc_text
from common.names import uncovered

_ANOTHER = "`certfleet-issuer audit` says whether the next `run` there replaces it; `issue` does so now"
_ANOTHER_KEY = "make another: `certfleet-agent request --next`, then `certfleet-issuer populate --replace`"
_PLACEHOLDER = "the first `run` of the agent replaces it"


def audit(record: Result, names: Iterable[str], bundle: Bundle, now: float, *, whole: bool) -> list[Line]:
    """The findings about *bundle*, which must cover *names*, at *now* (epoch seconds); empty where all is well. It lies
    in the files of the certificate whose *record* is given: a placeholder of the first day, or what the agent has put
    there. *whole*: the files are to hold its chain too."""
    found = [*_of_dates(bundle, record, now), *_of_leaf(bundle, names), *_of_chain(bundle, now, whole=whole)]
    level, hint = (WARN, _PLACEHOLDER) if record.installed is None else (BAD, "")
    return [Line(level, record.name, sentence, hint or remedy, kind) for kind, sentence, remedy in found]


_Found = tuple[str, str, str]  # kind, evidence, remedy


def _of_dates(bundle: Bundle, record: Result, now: float) -> Iterator[_Found]:
    starts, ends = not_before(bundle.leaf), not_after(bundle.leaf)
    if ends <= now:
        yield "expired", f"its certificate expired at {utc_text(ends)}", ending_hint(record)
    elif starts > now:
        yield (
            "not-yet-valid",
            f"its certificate is not valid before {utc_text(starts)}",
            "look at the clock of this host",
        )
    elif little_left(starts, ends, now) and not waits_for_window(record, now):
        left = duration_text(ends - now)
        yield "expires-soon", f"its certificate ends at {utc_text(ends)}, in {left}", ending_hint(record)


def _of_leaf(bundle: Bundle, names: Iterable[str]) -> Iterator[_Found]:
    leaf = bundle.leaf
    if leaf.issuer == leaf.subject:
        yield "self-signed", "its certificate is self-signed: no client trusts it", _ANOTHER
    if not (carried := certified_names(leaf)):
        yield "no-names", "its certificate has no subject alternative name, and clients look at no other", _ANOTHER
    elif missing := uncovered(frozenset(names), carried):
        hint = "let the issuer order one with those names: `certfleet-issuer populate --append`"
        yield "name-missing", f"its certificate does not cover {', '.join(missing)}", hint
    usages = extended_usages(leaf)
    if usages is not None and not usages & {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }:
        yield "no-server-auth", "its certificate is not for servers (no serverAuth)", _ANOTHER
    if weak := weak_key(leaf.public_key()):
        yield "weak-key", f"its key is weak: {weak}", _ANOTHER_KEY


def _of_chain(bundle: Bundle, now: float, *, whole: bool) -> Iterator[_Found]:
    for number, one in enumerate((bundle.leaf, *bundle.chain)):
        what = f"{subject_text(one)!r} in its chain" if number else "its certificate"
        if weak := weak_hash(one):
            yield "weak-signature", f"{what} is signed with {weak}", _ANOTHER
        if number and (weak := weak_key(one.public_key())):
            yield "weak-key", f"the key of {what} is weak: {weak}", _ANOTHER
        if number and not_after(one) <= now:
            yield "chain-ends", f"{what} expired at {utc_text(not_after(one))}", _ANOTHER
    if not whole or any(map(weak_hash, (bundle.leaf, *bundle.chain))):
        return  # the library verifies no such signature
    for fault in chain_faults(bundle):
        yield "chain", fault, "let the service serve the full chain: the next `run` writes it again"
