"""Targets that lead where nothing may be written, servers without an end, chains that are mended."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from agent.host.sockets import Prober
from agent.host.waits import Waits
from agent.rules.evidence import LookAt
from common.probe.target import parse_target
from common.probe.view import NO_ANSWER, Seen
from tests.agent.host import Host


@pytest.mark.parametrize("place", ["key.pem", "agent.toml", "certfleet.db", "state/records/x.pem"])
@pytest.mark.parametrize("detour", ["link", "dots", "linked folder"])
def test_a_target_that_leads_to_what_must_stay(host: Host, place: str, detour: str) -> None:
    """By a link, by dots or by a linked folder: the key, the settings, the database and our state are not targets."""
    victim = host.folder / place
    (host.state_dir / "records").mkdir(parents=True, mode=0o700)
    target = host.live / ".." / place
    if detour == "link":
        target = host.live / "link.pem"
        target.symlink_to(victim)
    elif detour == "linked folder":
        (host.live / "folder").symlink_to(host.folder)
        target = host.live / "folder" / place
    host.configure(files=f'[certificate.files]\nfullchain = "{target}"')
    host.offer_new()
    before = victim.read_bytes() if victim.exists() else None
    done = host.run()
    assert done.code == 1
    assert "must not be overwritten; no live file was touched" in done.err
    if place != "certfleet.db":  # which has taken the report
        assert (victim.read_bytes() if victim.exists() else None) == before
    assert host.reported()["state"] == "failed"


def test_a_live_file_without_measure(host: Host) -> None:
    """A log, or an image of a disk: not read to its end, not replaced, and the sentence names it."""
    host.configure()
    host.offer_new()
    os.truncate(host.fullchain, 1_000_001)
    inode = host.fullchain.stat().st_ino
    done = host.run()
    assert done.code == 1
    assert f"{host.fullchain} is larger than 1000000 bytes" in done.err
    assert "what to do: no certificate is that long" in done.err
    assert (host.fullchain.stat().st_ino, host.fullchain.stat().st_size) == (inode, 1_000_001)
    assert host.leftovers() == []


def test_a_chain_mended_under_the_same_leaf_is_taken(host: Host) -> None:
    """What was refused for its chain is another offer once the chain is right."""
    issued = host.sign()
    host.configure()
    host.offer(issued.cert_pem, b"")
    refused = host.run()
    assert "the chain is empty" in refused.err
    host.offer(issued.cert_pem, issued.chain_pem)
    done = host.run()
    assert host.fullchain.read_bytes() == issued.fullchain_pem, done.err


def test_a_server_that_never_ends_its_handshake() -> None:
    """HelloRequests for ever: OpenSSL reads them all within one call, and the look ends all the same."""
    over = threading.Event()

    def talk(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            connection.recv(9999)
            while not over.is_set():
                connection.sendall(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 2000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk, args=(server,))
        thread.start()
        stopper = threading.Timer(30, over.set)
        stopper.start()
        target = parse_target(f"tls://127.0.0.1:{server.getsockname()[1]}")
        ((sight,),) = Prober(0, Waits(), one_look=5.0).look_at_all([LookAt([target], "", Path(), None)])
        ended_itself = not over.is_set()
        over.set()
        stopper.cancel()
        thread.join()
    assert sight.seen is Seen.NO_TLS
    assert sight.problem in {"its answer has no end", NO_ANSWER}  # the second on a machine that is very busy
    assert ended_itself
