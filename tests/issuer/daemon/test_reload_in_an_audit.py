"""A reload while the daemon audits: what the audit finds then is told by the mail server of today."""

from argparse import Namespace
from collections.abc import Callable

import pytest

from common.config_file import load
from issuer.commands import daemon
from issuer.loops.intake import Generation
from issuer.model.audit import Finding, Kind, Severity
from issuer.model.config import Settings
from issuer.model.events import Event, audited
from tests.issuer.box import Box

NAME = "www.example.test"


class Rows:
    """In the place of issuer/commands/rows.py: an audit that lasts until the configuration was read again."""

    reload: Callable[[], Generation]

    def __init__(self, *_given: object):
        """Nothing is looked at."""

    def audit(self, tell: Callable[[Event], None], now: int) -> None:
        type(self).reload()
        tell(audited(NAME, [Finding(NAME, Kind.CHAIN, Severity.CRITICAL, "out of order")], worse=True))


def test_a_reload_in_an_audit_loses_no_finding(lone_box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was saved in the row, so that no later audit tells it as news: it stands in the outbox at once."""
    lone_box.document |= {"notify": {"email_to": ["noc@example.com"]}, "daemon": {"listen": ""}}
    lone_box.write()
    settings = load(Settings, lone_box.config)
    service = daemon._Service(Namespace(config=lone_box.config, quiet=False, verbose=0, plain_log=False), settings)
    first = service.build(settings)

    def reload() -> Generation:
        second = service.build(None)
        second.outbox.take_over(first.outbox)
        return second

    monkeypatch.setattr(daemon, "Rows", Rows)
    monkeypatch.setattr(Rows, "reload", staticmethod(reload), raising=False)
    first.audit()
    assert [row[0] for row in lone_box.database.query("SELECT name FROM outbox")] == [NAME]
    first.close()
    service.close()
