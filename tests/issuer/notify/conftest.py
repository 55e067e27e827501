"""A box without an ACME server that fails each run at once, and a mail server that hears of it."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.log import Syslog
from issuer.commands import wiring
from tests.issuer.box import NOBODY, Box
from tests.issuer.notify.outbox_world import World
from tests.issuer.signing_requests import csr
from tests.servers.database import Database, SqliteDatabase
from tests.servers.smtp import Smtp


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[Smtp]:
    """A plain mail server, running."""
    with Smtp(tmp_path) as server:
        yield server


@pytest.fixture
def troubled(smtp: Smtp, tmp_path: Path) -> Box:
    """A box whose CA cannot be reached, with three certificates enrolled. The outbox itself is tested over each
    database."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.document["acme"] = {"directory": f"https://{NOBODY}/dir"}
    box.document["dns"] = {"server": "127.0.0.1", "port": 9, "nameservers": [NOBODY], "resolvers": [NOBODY]}
    told_by_mail(box, smtp)
    box.set_up()
    for name in ("a.example.test", "b.example.test", "c.example.test"):
        box.ok("populate", name, "--csr", "-", stdin=csr([name]))
        box.ok("enable", name)
    return box


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """An outbox over each database."""
    made = World(database)
    yield made
    made.database.close()


def told_by_mail(box: Box, smtp: Smtp) -> None:
    """Let *box* send what people are to hear through *smtp*."""
    box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    box.write()


@contextlib.contextmanager
def heard_by_syslog(address: Path) -> Iterator[list[str]]:
    """What this process sends to syslog in the block, once that is over."""
    lines: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, pytest.MonkeyPatch.context() as here:
        listener.bind(str(address))
        syslog = Syslog("certfleet-issuer", str(address))
        here.setattr(wiring, "_syslog", lambda: syslog)
        yield lines
        syslog.close()
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                lines.append(listener.recv(4096).decode())


def try_again(box: Box) -> None:
    """Let every certificate be due."""
    box.database.execute("UPDATE certs SET due_at = NULL")


def mend(box: Box, *names: str) -> None:
    """What another issuer on the database does when it stores a certificate."""
    for name in names:
        box.database.execute(
            "UPDATE certs SET count_fail_update = 0, last_error = NULL, ts_last_update = 9999999999,"  # noqa: S608
            f" ts_expire = 9999999999, due_at = 9999999999 WHERE name = '{name}'"
        )
