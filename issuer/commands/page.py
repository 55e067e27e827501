"""The page at the daemon's /: gathered when somebody asks for it, never by itself.

A look at a large fleet takes seconds, and every local user may ask. So one look is under way at a time, it is shown for
a while that grows with what it cost, and a visitor meanwhile sees the look before, or is asked to wait.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass

from common.errors import CertfleetError, render
from common.threads import on_thread
from issuer.commands.report import gather
from issuer.loops.listen import Answer, Asked
from issuer.model.config import Settings
from issuer.page.render import HEADERS, Renderer
from issuer.rules.listing import Queries, choice_of, selected

_FRESH = 5.0  # seconds for which a look is shown at least
_SHARE = 20  # a look may take a twentieth of the time
_PATIENCE = 3.0  # seconds in which a look is waited for
_KEPT = 900.0  # seconds after which a look is forgotten: that of a large fleet takes memory
_TEXT = "text/plain; charset=utf-8"
_NOT_LOCAL = (
    b"this page is for this machine alone: look at it over SSH (ssh -L), or through a web server with a login\n"
)


@dataclass(frozen=True, slots=True)
class _Kept:
    renderer: Renderer
    until: float  # monotonic: how long it is fresh


class DaemonPage:
    """Thread-safe. *settings* may be exchanged after a reload. *propagation*: seconds by name server."""

    def __init__(self, settings: Settings, propagation: Callable[[], Mapping[str, float]]):
        self.settings = settings
        self._propagation = propagation
        self._lock = threading.Lock()
        self._work: Future[_Kept] | None = None
        self._kept: _Kept | None = None

    def answer(self, asked: Asked) -> Answer:
        if not asked.is_local:
            return Answer(403, _TEXT, _NOT_LOCAL)
        try:
            kept = self._look()
        except CertfleetError as error:
            return Answer(503, _TEXT, "".join(f"{line}\n" for line in render(error)).encode(), HEADERS)
        if kept is None:
            waiting = HEADERS | {"Refresh": "2", "Retry-After": "2"}
            return Answer(503, _TEXT, b"the certificates are being looked at; this page comes by itself\n", waiting)
        choice = choice_of(asked.query)
        body = kept.renderer.page(choice, selected(kept.renderer.overview.entries, choice))
        return Answer(200, "text/html; charset=utf-8", body, HEADERS)

    def _look(self) -> _Kept | None:
        """A fresh look; the one before while another takes its time, None without any."""
        with self._lock:
            if self._kept is not None and time.monotonic() < self._kept.until:
                return self._kept
            work = self._work = self._work or on_thread(self._gather)
        wait([work], _PATIENCE)
        with self._lock:
            if work.done():
                if self._work is work:
                    self._work, self._kept = None, None if work.exception() else work.result()
                    self._forget_later(self._kept)
                return work.result()
            return self._kept

    def _gather(self) -> _Kept:
        began = time.monotonic()
        renderer = Renderer(gather(self.settings, self._propagation()), Queries())
        ended = time.monotonic()
        return _Kept(renderer, ended + max(_FRESH, (ended - began) * _SHARE))

    def _forget_later(self, kept: _Kept | None) -> None:
        timer = threading.Timer(_KEPT, self._forget, [kept])
        timer.daemon = True
        timer.start()

    def _forget(self, kept: _Kept | None) -> None:
        with self._lock:
            if self._kept is kept:
                self._kept = None
