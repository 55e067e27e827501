"""The page at the daemon's /: gathered when somebody asks for it, never by itself.

A look at a large fleet takes minutes, and every local user may ask. So one look is under way at a time, it is shown for
a while that grows with what it cost, and a visitor meanwhile sees the look before with its age, or is asked to wait.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass

from common.clock import duration_text
from common.errors import CertfleetError, render
from common.threads import on_thread
from issuer.commands.report import Looks, gather
from issuer.loops.listen import Answer, Asked
from issuer.model.config import Settings
from issuer.page.render import HEADERS, Renderer
from issuer.rules.listing import Queries, choice_of, selected

_FRESH = 5.0  # seconds for which a look is shown at least
_SHARE = 20  # a look may take a twentieth of the time
_PATIENCE = 3.0  # seconds in which a look is waited for
_KEPT = 86400.0  # seconds after which it is not shown while another is made
_OLD = 10.0  # seconds from which on its age is said
_TEXT = "text/plain; charset=utf-8"
_NOT_LOCAL = (
    b"this page is for this machine alone: look at it over SSH (ssh -L), or through a web server with a login\n"
)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A look that was begun at *began* and is fresh until then, both monotonic."""

    renderer: Renderer
    began: float
    until: float

    def note(self, *, is_renewed: bool) -> str:
        """The age of the page for people; "" for a new one."""
        age = time.monotonic() - self.began
        renewed = "; a newer look is under way: load this page again" if is_renewed else ""
        return f"{duration_text(age)} old{renewed}" if age >= _OLD else ""


class DaemonPage:
    """Thread-safe. *settings* may be exchanged after a reload. *propagation*: seconds by name server."""

    def __init__(self, settings: Settings, propagation: Callable[[], Mapping[str, float]]):
        self.settings = settings
        self._propagation = propagation
        self._lock = threading.Lock()
        self._work: Future[_Kept] | None = None
        self._kept: _Kept | None = None
        self._looked_at = 0  # certificates, by the look under way

    def answer(self, asked: Asked) -> Answer:
        if not asked.is_local:
            return Answer(403, _TEXT, _NOT_LOCAL)
        try:
            kept = self._look()
        except CertfleetError as error:
            return Answer(503, _TEXT, "".join(f"{line}\n" for line in render(error)).encode(), HEADERS)
        if kept is None:
            waiting = HEADERS | {"Refresh": "2", "Retry-After": "2"}
            told = f"the certificates are being looked at, {self._looked_at} so far; this page comes by itself\n"
            return Answer(503, _TEXT, told.encode(), waiting)
        choice, note = choice_of(asked.query), kept.note(is_renewed=self._work is not None)
        body = kept.renderer.page(choice, selected(kept.renderer.overview.entries, choice), note)
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
                return work.result()
            is_old = self._kept is None or time.monotonic() >= self._kept.began + _KEPT
            return None if is_old else self._kept

    def _gather(self) -> _Kept:
        began = time.monotonic()
        renderer = Renderer(gather(self.settings, self._propagation(), watch=self._counted), Queries())
        ended = time.monotonic()
        return _Kept(renderer, began, ended + max(_FRESH, (ended - began) * _SHARE))

    def _counted(self, looks: Looks) -> Looks:
        for number, look in enumerate(looks, 1):
            self._looked_at = number
            yield look
