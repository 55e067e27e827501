"""The local syslog as a channel for events: one line for each."""

import logging

from common.log import Syslog
from issuer.model.events import Event, EventKind
from issuer.model.tries import Tries
from issuer.rules import mail_text

_LEVELS = {
    EventKind.RECOVERED: logging.INFO,
    EventKind.HOST_WELL: logging.INFO,
    EventKind.ROW_WELL: logging.INFO,
    EventKind.AUDIT_WELL: logging.INFO,
    EventKind.CA_CHANGED: logging.WARNING,
    EventKind.INCIDENT: logging.WARNING,
    EventKind.DISABLED: logging.WARNING,
    EventKind.ENDS_SOON: logging.WARNING,
    EventKind.AUDIT: logging.WARNING,
}


class BySyslog:
    """A :class:`issuer.notify.outbox.Channel`."""

    def __init__(self, syslog: Syslog):
        self._syslog = syslog

    def say(self, event: Event, tries: Tries) -> None:
        self._syslog.send(_LEVELS.get(event.kind, logging.ERROR), mail_text.line(event, tries))
