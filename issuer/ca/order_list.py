"""The account's list of orders (RFC 8555 §7.1.2.1). One reading answers all threads that wait for it.

A list may have hundreds of pages. After a crash every order without an answer from the CA needs it.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from http.client import TOO_MANY_REQUESTS

from issuer.ca import words
from issuer.ca.answers import AcmeAnswer, names_of, order_of
from issuer.ca.transport import Transport
from issuer.model.acme import CaOrder
from issuer.model.errors import AcmeProblem

_PAGES_TURNED = 1000


class OrderList:
    """Thread-safe. Each reading looks at the latest *longest* orders only."""

    def __init__(self, transport: Transport, longest: int):
        self._transport = transport
        self._longest = longest
        self._lock = threading.Lock()
        self._read_at = float("-inf")  # when the last reading began, in monotonic seconds
        self._waiting: list[tuple[set[str], CaOrder]] = []  # the orders that it found, the newest first

    def find(self, names: Sequence[str], account: str) -> CaOrder | None:
        """A pending or ready order of *account*, our URL, for exactly *names*; None if there is none or the CA keeps no
        list.

        Only a reading that began after this call shows every order made before it. Callers that arrive during a
        reading therefore wait for the next one, which they share. Raises AcmeProblem.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._read_at < asked_at:
                began_at = time.monotonic()
                self._waiting = list(self._read(account))
                self._read_at = began_at
            return next((order for wanted, order in self._waiting if wanted == set(names)), None)

    def _read(self, account: str) -> Iterator[tuple[set[str], CaOrder]]:
        for url in self._urls(account):
            answer = self._ask(url, account)
            if answer is not None and (order := order_of(url, answer)).status in ("pending", "ready"):
                yield names_of(answer), order

    def _urls(self, account: str) -> list[str]:
        """The URLs of the latest orders of *account*, the newest first."""
        page = words.url(self._transport.post(account, None, account).json().get("orders"))
        urls: list[str] = []
        for _ in range(_PAGES_TURNED):
            answer = self._ask(page, account) if page else None
            if answer is None:
                break
            urls += words.urls(answer.json().get("orders"))
            page = dict(answer.links).get("next", "")
        return urls[::-1][: self._longest]

    def _ask(self, url: str, account: str) -> AcmeAnswer | None:
        """The answer for *url*; None if the CA does not serve it: some CAs name a list that they do not keep, or an
        order that is gone."""
        try:
            return self._transport.post(url, None, account)
        except AcmeProblem as problem:
            if problem.status // 100 == 4 and problem.status != TOO_MANY_REQUESTS:
                return None
            raise
