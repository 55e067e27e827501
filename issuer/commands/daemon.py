"""daemon: wires the real adapters to the loop, takes the lock, handles the signals, listens for /metrics."""

import argparse
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import wait
from dataclasses import replace
from functools import partial
from pathlib import Path

from common import VERSION
from common.config_file import load
from common.errors import ConfigError, Finding
from common.stamps import stamps
from common.text import one_line
from common.threads import on_thread
from issuer.ca.client import AcmeCa
from issuer.commands.lock import DAEMON
from issuer.commands.page import DaemonPage
from issuer.commands.reports import Reports
from issuer.commands.rows import Rows
from issuer.commands.staging import clear_staging
from issuer.commands.stopping import on_request
from issuer.commands.wiring import alone, build_outbox, build_tools, configure_log, owner
from issuer.journey.ports import Tools
from issuer.journey.turns import Turns
from issuer.loops.daemon import Daemon
from issuer.loops.health import Health
from issuer.loops.intake import Generation
from issuer.loops.listen import Answer, Asked, Listener
from issuer.loops.metrics import Metrics
from issuer.loops.systemd import Systemd
from issuer.model.config import Settings
from issuer.model.errors import OtherRevision
from issuer.model.events import Event
from issuer.model.tries import BY_DAEMON
from issuer.store.database import Database
from issuer.store.due_queries import DueQueries
from issuer.store.revision import open_database

_FIRST_LOOK_SECONDS = 3.0


def daemon(arguments: argparse.Namespace) -> int:
    """`run` for ever. Ends with 0 on SIGTERM or SIGINT."""
    settings = load(Settings, arguments.config)
    with alone(settings, doing=DAEMON):
        _refuse_other_revision(settings)
        service = _Service(arguments, settings)
        try:
            loop = Daemon(service.build, systemd=Systemd(os.environ), health=service.health, numbers=service.metrics)
            on_request(loop.stop)
            on_thread(partial(clear_staging, settings))
            signal.signal(signal.SIGHUP, lambda *_: loop.reload())
            loop.run()
        finally:
            service.close()
    return 0


class _Service:
    """Everything that outlives a reload of the configuration: health, numbers, listener, turns."""

    def __init__(self, arguments: argparse.Namespace, settings: Settings):
        self._config: Path = arguments.config
        self._state_dir = settings.state_dir
        self._arguments = arguments
        self._listener: Listener | None = None
        self._generation: Generation | None = None
        self._turns = Turns()  # a reload takes nobody's turn
        self.health = Health(time.monotonic)
        self.metrics = Metrics(VERSION, self.health, time.time)
        self._page = DaemonPage(settings, self._propagation)

    def build(self, settings: Settings | None = None) -> Generation:
        """Make everything that *settings* name, read again from the configuration without them. Raises ConfigError, and
        then nothing has changed."""
        settings = settings or load(Settings, self._config)
        found = stamps(settings.files)
        if settings.state_dir != self._state_dir:
            problem = "cannot change while the daemon runs: the lock stands there; restart it"
            raise ConfigError(str(self._config), [Finding("state_dir", problem)])
        database = Database(settings.database)
        tools = replace(build_tools(settings, database, self._note), turns=self._turns)
        queries, outbox = DueQueries(database, owner(settings)), build_outbox(settings, database, BY_DAEMON)
        generation = Generation(
            settings,
            tools,
            outbox,
            queries,
            Reports(settings, database),
            lambda: Rows(settings, database).audit(self._note, int(time.time())),
            lambda: Rows(settings, database).look(),
            lambda: _close(database, tools),
            found,
        )
        self._listen(settings.daemon.listen)
        configure_log(settings, self._arguments, least=1)  # its reader is the journal: it logs what happens
        self.metrics.propagation = lambda: {
            server: seconds for solver in tools.solvers.values() for server, seconds in solver.propagation.items()
        }
        self._generation = generation
        self._page.settings = settings
        return generation

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._generation is not None:
            self._generation.close()

    def _note(self, event: Event) -> None:
        """Tell of what was begun before the last reload, an order or an audit, by the mail server of today."""
        if self._generation is not None:
            self._generation.outbox.note(event)

    def _listen(self, address: str) -> None:
        old = self._listener
        if address == (old.address if old is not None else ""):
            return
        pages = {"/": self._page.answer, "/healthz": self._healthz, "/metrics": self._metrics}
        self._listener = Listener(address, pages) if address else None
        if old is not None:
            old.close()

    def _propagation(self) -> Mapping[str, float]:
        return self.metrics.propagation()  # of the configuration that is in use by then

    def _healthz(self, _asked: Asked) -> Answer:
        faults = self.health.faults()
        text = "".join(f"{one_line(line)}\n" for line in faults or ["ok"])
        return Answer(503 if faults else 200, "text/plain; charset=utf-8", text.encode())

    def _metrics(self, asked: Asked) -> Answer:
        return Answer(200, *self.metrics.render(asked.accept))


def _refuse_other_revision(settings: Settings) -> None:
    """Raise OtherRevision. A database that is down or silent is no reason to end: the loop asks it again."""
    asked = on_thread(lambda: open_database(settings.database).close())
    if wait([asked], _FIRST_LOOK_SECONDS).done and isinstance(error := asked.exception(), OtherRevision):
        raise error


def _close(database: Database, tools: Tools) -> None:
    database.close()
    for authority in tools.authorities.values():
        if isinstance(authority, AcmeCa):
            authority.close()
