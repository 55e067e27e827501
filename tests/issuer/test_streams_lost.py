"""What nobody reads, no disk has room for, or nobody types: the work is done to its end, and no fault is seen."""

from pathlib import Path

from tests.issuer.box import Box
from tests.servers.smtp import Smtp


def redirected(box: Box, redirection: str, *words: str) -> tuple[int, str]:
    """Exit code and standard error of a command that a shell starts like that."""
    process = box.start(*words, wrap=["sh", "-c", f'exec "$@" {redirection}', "sh"])
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
