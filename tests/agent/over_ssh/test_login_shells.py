"""The login shell of a user is his own matter: what it is, and what it says before it runs a command."""

import shutil
import subprocess

import pytest

from agent.remote.shell import BEGUN, in_any_shell
from tests.agent.host import Host
from tests.agent.over_ssh.test_remote_install import BOTH
from tests.agent.remote import RemoteSite, is_as_before
from tests.servers.nginx import Nginx

SCRIPT = r"""printf '%s\n' 'a!b' '\ \\ it'"'s" '\0134 %b' "$(cat)"
! false; exit 7"""
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "csh", "tcsh")


@pytest.mark.parametrize("shell", [name for name in SHELLS if shutil.which(name)])
def test_a_script_comes_through_each_of_them(shell: str) -> None:
    """Whole, for `/bin/sh`: line ends, quotes, backslashes and exclamation marks mean something else to csh and fish,
    which would run what they take for lines of their own. Its input is left to it."""
    done = subprocess.run(
        [shell, "-c", in_any_shell(SCRIPT)], input=b"in", capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (7, b"")
    assert done.stdout == BEGUN + b"a!b\n\\ \\\\ it's\n\\0134 %b\nin\n"


@pytest.mark.sampled
@BOTH
@pytest.mark.parametrize("service", ["", 'service = "nginx"\n'])
def test_what_a_login_says_is_no_answer(host: Host, site: RemoteSite, nginx: Nginx, first: bytes, service: str) -> None:
    """A shell that greets is no fault. One that runs nothing is the host's: nothing is touched, no certificate is
    called at fault, and the sentence has what it said last."""
    files = f'{service}[certificate.files]\nfullchain = "{host.fullchain}"'
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=nginx.check, activate=nginx.activate, probe=probe, files=files)
    greeting = site.sshd.folder / ".bashrc"  # bash reads it for each command of an sshd
    greeting.write_text("echo Welcome\necho No mail\nexit 0\n", encoding="ascii")
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unreachable"), done.err
    assert f"127.0.0.1 runs no command for {site.sshd.user}: No mail" in done.err
    assert is_as_before(host, nginx, first)
    assert "No mail" in host.agent("check").out
    greeting.write_text("echo Welcome to\necho certfleet\nprintf 8180", encoding="ascii")
    assert host.run().certificate["state"] == "installed"
    assert host.agent("check").code == 0
