"""A CA that gives an order that waits already to whoever asks for the same names, and a sweep that is slow then."""

import functools
import json
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tests.servers.ca_proxy import Reply, Request

Given = ParamSpec("Given")
Result = TypeVar("Result")


class SharedOrder:
    """Like Boulder: newOrder for names of which an order waits already is answered with that order."""

    def __init__(self) -> None:
        self._waiting: dict[str, Reply] = {}  # by identifiers
        self.opened = 0

    def __call__(self, request: Request, reply: Reply) -> Reply:
        if "order-plz" in request.path and reply.status == 201:
            names = json.dumps((request.payload or {})["identifiers"])
            self.opened += names not in self._waiting
            earlier = self._waiting.setdefault(names, reply)
            return Reply(reply.status, earlier.body, {**reply.headers, "Location": earlier.headers["Location"]})
        if "finalize-order" in request.path and reply.status == 200:
            self._waiting.clear()
        return reply


class SlowSweep:
    """Taking back takes a second, or until the CA is told to look, which it does when that is done. A rule for what
    comes before the CA's answer."""

    def __init__(self) -> None:
        self._told, self._done = threading.Event(), threading.Event()

    def slowly(self, take_back: Callable[Given, Result]) -> Callable[Given, Result]:
        @functools.wraps(take_back)
        def slow(*arguments: Given.args, **named: Given.kwargs) -> Result:
            self._told.wait(1.0)
            try:
                return take_back(*arguments, **named)
            finally:
                self._done.set()

        return slow

    def __call__(self, request: Request) -> Reply | None:
        if "chalZ" in request.path and request.payload == {}:
            self._told.set()
            assert self._done.wait(60)
        return None
