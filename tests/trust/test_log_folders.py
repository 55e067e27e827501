"""The user of a service, to whom its logs and their folder belong: root's agent reads them where an install fails."""

import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.host import Done, Host
from tests.servers.nginx import Nginx
from tests.servers.process import program
from tests.servers.stopwatch import Stopwatch
from tests.trust.thief import Thief

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to others")

HIM = 5  # games, on every Debian
SECRET = "hunter2"


@pytest.fixture
def nginx(host: Host, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", host.fullchain, host.key) as server:
        yield server


@pytest.fixture
def logs() -> Iterator[Path]:
    """His folder, where he may go as in /var/log."""
    with tempfile.TemporaryDirectory(prefix="certfleet-trust-") as name:
        os.chown(name, HIM, HIM)
        yield Path(name)


def fails(host: Host, nginx: Nginx, log: Path, *, he_runs: str) -> Done:
    """A run whose install fails, after *he_runs* this in the folder of his logs; *log* is what agent.toml names."""
    assert program("setpriv", "util-linux")
    for old in log.parent.iterdir():
        old.unlink()
    he = ["setpriv", f"--reuid={HIM}", f"--regid={HIM}", "--clear-groups", "--", "sh", "-c"]
    activate = [*he, f"cd {shlex.quote(str(log.parent))} && {he_runs}"]
    probe = [f"https://127.0.0.1:{nginx.port}"]
    files = f'logs = {json.dumps(str(log))}\n[certificate.files]\nfullchain = "{host.fullchain}"'
    host.configure(activate=activate, probe=probe, probe_timeout="1s", files=files)
    host.offer_new()
    done = host.run("--retry")
    assert done.certificate["state"] == "failed", done.out
    return done


def shows(words: str, done: Done, host: Host) -> bool:
    return words in f"{done.out} {done.err} {host.reported()}"


def test_the_user_of_a_service(host: Host, nginx: Nginx, logs: Path) -> None:
    """His words go into reports, and nothing that he may not read himself."""
    thief = Thief("The user of a service, by its logs")
    secret, line = host.folder / "secret", f"cannot load {host.fullchain}: "
    secret.touch(mode=0o600)
    secret.write_text(f"{SECRET}\n")
    done = fails(host, nginx, logs / "a.log", he_runs=f"echo '{line}is my word' > a.log")
    got = shows("is my word", done, host)
    thief.tries("words of his own in the report of an install that fails", got=got)
    link = f"ln -s {secret} b.log"
    done = fails(host, nginx, logs / "*.log", he_runs=f"printf '{line}' > a.log; {link}; touch -d tomorrow b.log a.log")
    got = shows(SECRET, done, host)
    thief.tries("the words of another's file, behind his own, by a link that `logs` fits", got=got)
    secret.write_text(f"{line}it is {SECRET}\n")
    done = fails(host, nginx, logs / "b.log", he_runs=link)
    got = shows(SECRET, done, host)
    thief.tries("a line of another's file that names the certificate, by a link in place of his log", got=got)
    watch = Stopwatch()
    fails(host, nginx, logs / "b.log", he_runs="mkfifo b.log")
    thief.tries("that a run waits for him, by a pipe in place of his log", got=watch.seconds() > 4)
    thief.is_told()
