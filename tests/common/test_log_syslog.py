"""The log on its way to the local syslog: one line an event, whatever stands in it, and no harm when nobody listens."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from common import log


@pytest.fixture(autouse=True)
def configuration() -> Iterator[None]:
    """Logging as it was before."""
    yield
    structlog.reset_defaults()


def test_each_event_goes_to_stderr_and_to_syslog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An event is JSON on stderr and one logfmt line at its level on syslog, even one with a traceback."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.settimeout(5)
        syslog = log.Syslog("certfleet-issuer", str(tmp_path / "log"))
        log.configure(1, form="json", syslog=syslog)
        logger = structlog.get_logger()
        logger.debug("too.fine")
        logger.warning("order.late", certificate="www.example.test", why="two words")
        try:
            raise ValueError("a fault")
        except ValueError:
            logger.exception("order.fault")
        late, fault = (listener.recv(8192).decode() for _ in range(2))
        syslog.close()
    assert late.startswith("<28>certfleet-issuer[")
    assert late.endswith('level=warning event=order.late certificate=www.example.test why="two words"')
    assert fault.startswith("<27>")
    assert "ValueError: a fault" in fault
    assert "\n" not in fault
    shown = capsys.readouterr().err
    assert '"event": "order.late"' in shown
    assert "too.fine" not in shown


def test_a_plain_line_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The event first, then its facts; the level where it matters; neither time nor braces. Where the journal listens,
    the line begins with its priority."""
    log.configure(1, form="plain")
    logger = structlog.get_logger()
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    logger.info("order.moved", certificate="www.example.test", new="ORDERED")
    logger.warning("order.late", why="two words")
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logger.info("daemon.ended")
    logger.error("order.fault", why="no")
    assert capsys.readouterr().err.splitlines() == [
        "order.moved certificate=www.example.test new=ORDERED",
        'warning: order.late why="two words"',
        "<6>daemon.ended",
        "<3>error: order.fault why=no",
    ]


def test_a_syslog_that_is_not_there_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The events still reach stderr, with one warning beside them."""
    syslog = log.Syslog("certfleet-issuer", str(tmp_path / "log"))
    log.configure(1, form="json", syslog=syslog)
    for number in range(3):
        structlog.get_logger().info("order.moved", number=number)
    syslog.close()
    shown = capsys.readouterr().err
    assert shown.count("syslog.absent") == 1
    assert shown.count("order.moved") == 3


@pytest.mark.parametrize("form", ["console", "logfmt", "json", "plain"])
def test_what_others_wrote_steers_no_terminal(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and line ends in any field, in a list and in an exception's words are shown and not obeyed."""
    hostile = "\x1b]0;pwned\x07\x1b[2J\nERROR: fake line\ud800"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.settimeout(5)
        syslog = log.Syslog("certfleet-issuer", str(tmp_path / "log"))
        log.configure(1, form=form, syslog=syslog)
        logger = structlog.get_logger()
        logger.warning("account.changed", now=hostile, offered=[hostile], spaced=f"a b {hostile}")
        try:
            raise ValueError(hostile.replace("\n", ""))
        except ValueError:
            logger.exception("order.fault")
        sent = [listener.recv(8192).decode() for _ in range(2)]
        syslog.close()
    shown = capsys.readouterr().err
    assert "pwned" in shown
    assert "Traceback" in shown
    for text in (shown, *sent):
        assert "\x1b]" not in text
        assert "\x1b[2J" not in text
        assert "\x07" not in text
        assert "\nERROR" not in text


def test_a_plain_event_is_shown_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Words in any script, and what is no text, are left alone."""
    log.configure(1, form="logfmt")
    structlog.get_logger().warning("order.late", why="отказано: 不允许", count=3)
    assert 'event=order.late why="отказано: 不允许" count=3' in capsys.readouterr().err
