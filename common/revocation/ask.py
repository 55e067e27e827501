"""The whole question: everybody whom a certificate names is asked, side by side, within one deadline."""

from collections.abc import Callable
from functools import partial

from cryptography import x509

from common.certificate import PARSE_ERRORS, is_signed_by, subject_text
from common.dataclasses import dataclass
from common.deadline import Deadline
from common.revocation import crl, ocsp
from common.revocation.fetch import Kept, NoAnswer
from common.revocation.state import Revocation, together, unknown
from common.threads import each_within

_MOST_SOURCES = 8  # that one certificate can make us ask


@dataclass(frozen=True, slots=True)
class Limits:
    """*seconds* for the whole question, resolver included; *most_bytes* of each answer: the largest lists of public CAs
    have some megabytes."""

    seconds: float = 10.0
    most_bytes: int = 20_000_000


_Question = Callable[[Kept, Deadline, int], Revocation]
"""Ask one URL, for so many bytes at most. Raises NoAnswer."""


def ask(
    leaf: x509.Certificate, issuer: x509.Certificate, limits: Limits, now: float, kept: Kept | None = None
) -> Revocation:
    """The answer of the issuer's lists and responder about *leaf* at *now* (epoch seconds). Never raises: a fault is a
    problem of the result. *kept*: for questions about many certificates, which have their lists in common."""
    try:
        named = _questions(leaf, issuer, now)
    except PARSE_ERRORS as error:
        return unknown("", f"the certificate cannot be parsed ({type(error).__name__})")
    if named and not is_signed_by(leaf, issuer):
        return together([unknown(url, f"{subject_text(issuer)!r} is not its issuer") for url in named])
    return together(_answers(named, limits, kept or Kept()))


def _questions(leaf: x509.Certificate, issuer: x509.Certificate, now: float) -> dict[str, _Question]:
    """A question for each URL that *leaf* names."""

    def by_list(source: crl.Source, kept: Kept, deadline: Deadline, most_bytes: int) -> Revocation:
        try:
            found = kept.revocation_list(source.url, deadline, most_bytes)
        except PARSE_ERRORS as error:
            return crl.no_list(source.url, error)
        return crl.judge(found, leaf, issuer, source, now)

    def by_responder(url: str, request: bytes, kept: Kept, deadline: Deadline, most_bytes: int) -> Revocation:
        return ocsp.judge(kept.answer(url, deadline, most_bytes, request), leaf, issuer, url, now)

    found: dict[str, _Question] = {source.url: partial(by_list, source) for source in crl.sources(leaf)}
    for url in ocsp.responders(leaf):
        found[url] = partial(by_responder, url, ocsp.request_for(leaf, issuer))
    return dict(list(found.items())[:_MOST_SOURCES])


def _answers(questions: dict[str, _Question], limits: Limits, kept: Kept) -> list[Revocation]:
    """The answer to each question, in their order."""
    deadline = Deadline(limits.seconds)

    def answer(url: str) -> Revocation:
        try:
            return questions[url](kept, deadline, limits.most_bytes)
        except NoAnswer as error:
            return unknown(url, str(error))

    def late(url: str) -> Revocation:
        return unknown(url, f"no answer within {deadline.seconds:g} s")

    return each_within(answer, questions, len(questions), deadline.seconds, late)
