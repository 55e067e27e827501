"""People are told what the commands of agent.toml print, and their words, but no secret; and no output fills a disk."""

import json
from collections.abc import Sequence

import pytest

from agent.rules.output import with_tail
from tests.agent.host import Done, Host

TOKEN = "s3cret-token"


def told(host: Host, head: str, activate: Sequence[str] = ()) -> Done:
    """A run with a new certificate, which is not well; what the issuer's side was told is at the end of its stderr."""
    host.configure(activate=activate)
    host.config.write_text(f"{head}\n{host.config.read_text()}")
    host.offer_new()
    done = host.agent("run")
    return Done(done.code, done.out, f"{done.err}{host.agent('status').out}{host.reported()['detail']}")


@pytest.mark.parametrize("more", ["", "seq 1 20;"])
def test_a_key_in_the_output(host: Host, more: str) -> None:
    """A script that failed may print all that it was working on; the words around stay."""
    done = told(host, "", ["sh", "-c", f"echo before; cat {host.key}; {more} echo behind; exit 3"])
    assert done.code == 1
    assert done.err.count("behind; ROLLED BACK") == 3
    assert "before | (a private key)" in done.err
    for line in host.key.read_text().splitlines():
        assert line not in done.err


def test_a_key_that_is_cut(host: Host) -> None:
    """Its end is missing, or its beginning lies before what is quoted of the output."""
    key = host.key.read_bytes()
    assert with_tail("why", key[:120]) == "why; it said: (a private key)"
    assert with_tail("why", key * 40 + b"x").startswith("why; it said: ")
    assert b"\n".join(key.splitlines()[1:2]).decode() not in with_tail("why", key * 40 + b"x")


def test_a_password_of_a_command_that_tells_people(host: Host) -> None:
    """As of one that posts to a chat: its program is named alone."""
    command = ["sh", "-c", "exit 22", f"Authorization: Bearer {TOKEN}"]
    done = told(host, f"on_install = [{json.dumps(command)}]")
    assert "failed: exit code 22" in done.err
    assert TOKEN not in done.err


def test_one_that_prints_without_end(host: Host) -> None:
    """As a script that asks again and again and gets no answer: it is ended long before its time."""
    said = told(host, "", ["yes", "Restart it now?"]).err
    assert "`yes Restart it now?` was ended: it had printed more than 67108864 bytes; it said: " in said
    assert "Restart it now? | Restart it now?" in said
