"""Telling people of this host, and their programs: syslog, mail, a command, a reboot. None of it can fail a run."""

import syslog
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import ceil

from agent.host.programs import LocalPrograms
from agent.host.waits import Waits
from agent.model.certificate import Command, Means
from agent.model.errors import InstallError, Stopped
from agent.model.notice import Notice
from agent.settings.config import AgentSettings
from common.errors import CertfleetError, MailError
from common.late_log import LateLog
from common.mail import MailServer
from common.text import storable

_log = LateLog()
_LONGEST_LINE = 1000  # characters; daemons cut at about that
_LONGEST_MAIL = 75.0  # seconds: the look-up of its server, and then the time limit of a session


class LocalMessages:
    """The Messages of ``agent.journey.ports``, whose words say what each method promises."""

    def __init__(self, settings: AgentSettings, host: str, waits: Waits) -> None:
        self._settings, self._host, self._waits = settings, host, waits
        self._programs = LocalPrograms(settings.command_timeout, waits)

    def tell(self, notices: Sequence[Notice]) -> None:
        """If a stop was asked for before, people are still told; one that is asked for meanwhile ends the telling."""
        with self._waits.unbroken() if self._waits.stop_asked else nullcontext():
            try:
                self._tell(notices)
            except Stopped:
                names = ", ".join(notice.result.name for notice in notices)
                _log.warning("notice.untold", certificates=names, error="stopped on request")

    def _tell(self, notices: Sequence[Notice]) -> None:
        syslog.openlog("certfleet-agent", syslog.LOG_PID, syslog.LOG_DAEMON)
        for notice in notices:
            for means in notice.means:
                if means == "syslog":
                    priority = syslog.LOG_NOTICE if notice.installed else syslog.LOG_ERR
                    syslog.syslog(priority, storable(notice.sentence, _LONGEST_LINE))
                elif not isinstance(means, str):
                    self._run(means, notice.facts(self._host))
        self._once("email", notices, self._mail)
        self._once("reboot", notices, self._reboot)

    def _once(self, means: Means, notices: Sequence[Notice], tell: Callable[[Sequence[Notice]], None]) -> None:
        """Tell the notices of one run together."""
        found = [notice for notice in notices if means in notice.means]
        if not found:
            return
        try:
            tell(found)
        except CertfleetError as error:
            _log.warning("notice.untold", means=means, error=str(error), hint=error.hint)

    def _run(self, command: Command, facts: dict[str, str]) -> None:
        try:
            self._programs.run("notify", [command], facts)
        except InstallError as error:
            _log.warning("notice.untold", means=command[0], error=str(error), hint=error.hint)

    def _mail(self, notices: Sequence[Notice]) -> None:
        failures = sum(not notice.installed for notice in notices)
        subject = f"{self._host}: {failures} not well" if failures else f"{self._host}: {len(notices)} newly installed"
        text = "\n\n".join("\n".join(_lines(notice)) for notice in notices)
        server = MailServer(self._settings.notify, self._host)
        try:
            self._waits.within(_LONGEST_MAIL, lambda: server.send(f"certfleet: {subject}", text))
        except TimeoutError as error:
            raise MailError("the mail server took no mail", why=str(error)) from error

    def _reboot(self, notices: Sequence[Notice]) -> None:
        """shutdown(8) warns everybody who is logged in; `shutdown -c` stops it."""
        minutes = max(1, ceil(self._settings.reboot_delay / 60))
        words = f"certfleet-agent: {', '.join(notice.result.name for notice in notices)}"
        self._programs.run("notify", [("shutdown", "-r", f"+{minutes}", storable(words, _LONGEST_LINE))])


def _lines(notice: Notice) -> list[str]:
    hint = f"  what to do: {notice.result.hint}" if notice.result.hint and not notice.installed else ""
    return [storable(line, _LONGEST_LINE * 2) for line in (notice.sentence, hint) if line]
