"""A pipe, a socket or a device stands where a file should be that a setting names, or that a state folder holds."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.host.trust import objection, refuse_no_roots
from agent.model.host_key import HostKey
from agent.remote import trust
from common.errors import ConfigError, FileError
from common.files import is_locked, sync_all
from common.ssh_host_keys import load_pinned_keys
from common.tls import trusting, verified_tls
from issuer.ca.memory import recall
from issuer.webroot.ledger import MadeFolders
from tests.servers.authority import Authority

NAME = "www.example.test"
KEY, CHAIN = ((issued := Authority("Root").issue([NAME])).key_pem, issued.fullchain_pem)
READERS: dict[str, Callable[[Path], object]] = {
    "ca_bundle": lambda file: verified_tls(file, "acme.ca_bundle"),
    "tls_ca": trusting,
    "roots": refuse_no_roots,
    "roots of this host": lambda file: objection(CHAIN, HostKey(KEY, "", ""), [NAME], file),
    "roots of another host": lambda file: trust.objection(CHAIN, HostKey(KEY, "", ""), [NAME], file),
    "ssh_host_keys": load_pinned_keys,
    "lock": is_locked,
    "what a CA told": recall,
    "folders that were made": lambda file: MadeFolders(file).holds("x"),
    "a folder of the agent's work": lambda file: sync_all(file.parent),
}


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_nobody_waits_for_what_is_no_regular_file(tmp_path: Path, read: Callable[[Path], object], kind: str) -> None:
    """It is refused, or tells nothing, also where a library opens it by its path."""
    file = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(file, 0o600)
    if kind == "device":
        file.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "socket":
            listener.bind(str(file))
        reading = threading.Thread(target=lambda: _reads(read, file), daemon=True)
        reading.start()
        reading.join(20)
    assert not reading.is_alive()


def _reads(read: Callable[[Path], object], file: Path) -> None:
    with contextlib.suppress(OSError, ConfigError, FileError):
        assert not read(file), "there is nothing to be read"
