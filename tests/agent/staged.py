"""Certificates that are staged on a host, and what becomes of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.certificate import serial_text
from tests.agent.host import NAME, Done, Host
from tests.agent.windows import CLOSED, window
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx


def stage(host: Host, issued: Issued) -> Issued:
    host.offer(issued.cert_pem, issued.chain_pem)
    window(host, *CLOSED)
    done = host.run()
    assert (done.code, done.certificate["staged"]) == (0, True), done.err
    return issued


@contextmanager
def source_away(host: Host) -> Iterator[None]:
    away = host.database.with_suffix(".away")
    host.database.rename(away)
    yield
    away.rename(host.database)


def record(host: Host) -> Any:
    return json.loads((host.state_dir / "records" / f"{NAME}.json").read_text())


def assert_installed(host: Host, nginx: Nginx, issued: Issued, done: Done, why: str = "there is no database") -> None:
    """Newly in place and proven; and the source's failure is told, with the exit code that it has on any day."""
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "unreachable", True), done.err
    serial = serial_text(issued.certificate)
    assert f"serial {serial}, which was staged, is installed and proven; " in done.certificate["detail"]
    assert why in done.certificate["detail"]
    assert done.certificate["serial"] == serial
    assert "report.unsent" not in done.err  # which says the same again
    assert nginx.served() == issued.certificate
    assert host.fullchain.read_bytes() == issued.fullchain_pem
    assert record(host)["staged"] is None
    assert host.leftovers() == []


def assert_not_taken(host: Host, nginx: Nginx, first: Issued, done: Done, *words: str, state: str = "refused") -> None:
    assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, state, False), done.err
    for word in (*words, "there is no database"):
        assert word in done.certificate["detail"]
    assert nginx.served() == first.certificate
    assert host.fullchain.read_bytes() == first.fullchain_pem
