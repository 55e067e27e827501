"""What nobody reads, no disk has room for, or nobody types: the work is done to its end, and no fault is seen."""

import os
import pty
from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.servers.smtp import Smtp

NAME = "www.lab.test"


def redirected(box: Box, redirection: str, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command that a shell starts like that."""
    process = box.start_anew(*words, wrap=["sh", "-c", f'exec "$@" {redirection}', "sh"])
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def typed(box: Box, text: bytes, *words: str) -> tuple[int, str]:
    """The same of a command at a terminal where somebody has typed *text*."""
    terminal, other_end = pty.openpty()
    os.write(terminal, text)
    try:
        return redirected(box, f"<{os.ttyname(other_end)}", *words)
    finally:
        os.close(terminal)
        os.close(other_end)


def test_a_run_that_can_tell_nobody(box: Box, tmp_path: Path) -> None:
    """Log, output and complaints on a full disk: what is due is issued, what failed is mailed, exit code 1."""
    names = [box.enrol(f"n{number}.lab.test") for number in range(2)]
    with Smtp(tmp_path) as smtp:
        box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
        box.write(acme={"workers": 1})
        failing = box.populate("aaa.nozone.test")
        assert redirected(box, ">/dev/full 2>&1", "run", "-v") == (1, "")
        assert [failing in letter.subject for letter in smtp.letters] == [True]
    assert [box.row(name, "crt IS NOT NULL") for name in names] == [(1,), (1,)]
    assert [box.txt(name) for name in names] == [set(), set()]


@pytest.mark.soak
def test_nobody_answers_the_question(lone_box: Box) -> None:
    """Ctrl-D, and no standard input at all: a sentence, what to do, and nothing is removed."""
    lone_box.populate(NAME)
    code, err = typed(lone_box, b"\x04", "remove", NAME)
    assert code == 1
    assert "error: nothing was typed\n  what to do: nothing was changed" in err
    code, err = redirected(lone_box, "<&-", "remove", NAME)
    assert code == 2
    assert "there is no terminal\n  what to do: add --yes" in err
    lone_box.ok("status", NAME)


@pytest.mark.soak
def test_only_the_name_itself_confirms(lone_box: Box) -> None:
    """Another word removes nothing, and says so; the name does it, whatever blanks are around it."""
    lone_box.populate(NAME)
    code, err = typed(lone_box, b"yes\n", "remove", NAME)
    assert code == 1
    assert "error: the names differ\n  what to do: nothing was removed" in err
    assert lone_box.database.query("SELECT name FROM certs") == [(NAME,)]
    assert typed(lone_box, f" {NAME} \n".encode(), "remove", NAME)[0] == 0
    assert lone_box.database.query("SELECT name FROM certs") == []


@pytest.mark.soak
def test_a_csr_from_no_standard_input(lone_box: Box) -> None:
    """Closed, or not to be read from: a refusal that says so."""
    for redirection in ("<&-", "0>/dev/null"):
        code, err = redirected(lone_box, redirection, "populate", NAME, "--csr", "-")
        assert code == 1
        assert err.startswith("error: the CSR ")
