"""The whole question: everybody whom a certificate names is asked, side by side, within one deadline."""

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cryptography import x509

from common.certificate import PARSE_ERRORS, is_signed_by, subject_text
from common.deadline import Deadline
from common.revocation import crl, ocsp
from common.revocation.fetch import Kept, NoAnswer
from common.revocation.state import Revocation, together, unknown

_MOST_SOURCES = 8  # that one certificate can make us ask


@dataclass(frozen=True, slots=True)
class Limits:
    """*seconds* for the whole question, resolver included; *most_bytes* of each answer: the largest lists of public CAs
    have some megabytes."""

    seconds: float = 10.0
    most_bytes: int = 20_000_000


@dataclass(frozen=True, slots=True)
class _Question:
    """*request*: of OCSP; None for a list. *judge* makes a Revocation of the answer."""

    request: bytes | None
    judge: Callable[[bytes], Revocation]


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
    found = {
        source.url: _Question(None, partial(crl.judge, leaf=leaf, issuer=issuer, source=source, now=now))
        for source in crl.sources(leaf)
    }
    for url in ocsp.responders(leaf):
        judge = partial(ocsp.judge, leaf=leaf, issuer=issuer, source=url, now=now)
        found[url] = _Question(ocsp.request_for(leaf, issuer), judge)
    return dict(list(found.items())[:_MOST_SOURCES])


def _answers(questions: dict[str, _Question], limits: Limits, kept: Kept) -> list[Revocation]:
    """The answer to each question, in their order. The resolver knows no deadline, so each is asked on a thread that
    may be left behind, and dies with the process."""
    deadline = Deadline(limits.seconds)
    arrived: queue.SimpleQueue[tuple[str, Revocation]] = queue.SimpleQueue()

    def put(url: str, question: _Question) -> None:
        try:
            answer = question.judge(kept.fetch(url, deadline, limits.most_bytes, question.request))
        except NoAnswer as error:
            answer = unknown(url, str(error))
        arrived.put((url, answer))

    for url, question in questions.items():
        threading.Thread(target=put, args=(url, question), daemon=True).start()
    answers = {url: unknown(url, f"no answer within {deadline.seconds:g} s") for url in questions}
    with contextlib.suppress(TimeoutError, queue.Empty):
        for _ in questions:
            url, answer = arrived.get(timeout=deadline.left())
            answers[url] = answer
    return list(answers.values())
