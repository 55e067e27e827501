"""What nobody reads, no disk has room for, or nobody types: the work is done to its end, and no fault is seen."""

import os
import pty
from pathlib import Path

from tests.issuer.box import Box
from tests.servers.smtp import Smtp

NAME = "www.lab.test"


def redirected(box: Box, redirection: str, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command that a shell starts like that."""
    process = box.start_anew(*words, wrap=["sh", "-c", f'exec "$@" {redirection}', "sh"])
    _, err = process.communicate(timeout=60)
    return process.returncode, err


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


def test_nobody_answers_the_question(lone_box: Box) -> None:
    """Ctrl-D, and no standard input at all: a sentence, what to do, and nothing is removed."""
    lone_box.populate(NAME)
    terminal, other_end = pty.openpty()
    os.write(terminal, b"\x04")
    code, err = redirected(lone_box, f"<{os.ttyname(other_end)}", "remove", NAME)
    os.close(terminal)
    os.close(other_end)
    assert code == 1
    assert "error: nothing was typed\n  what to do: nothing was changed" in err
    code, err = redirected(lone_box, "<&-", "remove", NAME)
    assert code == 2
    assert "there is no terminal\n  what to do: add --yes" in err
    lone_box.ok("status", NAME)


def test_a_csr_from_no_standard_input(lone_box: Box) -> None:
    """Closed, or not to be read from: a refusal that says so."""
    for redirection in ("<&-", "0>/dev/null"):
        code, err = redirected(lone_box, redirection, "populate", NAME, "--csr", "-")
        assert code == 1
        assert err.startswith("error: the CSR ")
