"""A stand-in for VMware ESXi, which nobody can have here: its paths, its commands and its login, with an nginx as its
web service. It cannot show how ESXi itself behaves."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from common.probe.target import parse_target
from tests.agent.host import NAME, Done, Host
from tests.agent.remote import RemoteSite
from tests.drill.clients import served_by
from tests.drill.facts import Facts
from tests.servers import nginx, sshd
from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, wait_until

PRESET = "esxi"
_SSL = "/etc/vmware/ssl"
_SCRIPT = """#!/bin/sh
# {name}: what /etc/init.d/{name} of ESXi does at a restart, as far as the web service goes
[ "$1" = restart ] || exit 1
echo {name} restarted
{act}
"""
_RESTART = """cd {folder}
echo >>told
case "$(cat fault)" in
    keeps) exit 0 ;;
    silent) rm fault; kill -STOP "$(cat child)"; exit 0 ;;
    dies) rm fault; touch down ;;
    *) rm -f down ;;
esac 2>/dev/null
kill -KILL "$(cat child)"
[ ! -e down ]"""
_WATCHDOG = """cd "$0"
while :; do
    if [ ! -e down ]; then "$@" & echo $! >child; wait $!; fi
    sleep 0.1
done"""


class _Sshd(sshd.Sshd):
    """An sshd whose sessions see the /etc of an ESXi host in the place of this machine's."""

    def __init__(self, folder: Path, etc: Path) -> None:
        super().__init__(folder, sftp="/nonexistent")
        self._etc = etc

    def _command(self) -> list[str]:
        script = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self._etc), *super()._command()]


class _Web(nginx.Nginx):
    """An nginx that a watchdog starts anew whenever it has ended, as ESXi's does; not while it is *down*. It is one
    process, which can be ended at any moment of its start."""

    @property
    def down(self) -> Path:
        return self.folder / "down"

    def _command(self) -> list[str]:
        return ["/bin/sh", "-c", _WATCHDOG, str(self.folder), *super()._command(), "-g", "master_process off;"]


class Esxi:
    """A host without an agent, with its first certificate to come; *present* is the one installed last."""

    def __init__(self, folder: Path) -> None:
        etc = folder / "etc"
        shutil.copytree("/etc", etc, symlinks=True)
        self.ssl = etc / "vmware" / "ssl"
        self.ssl.mkdir(parents=True)
        self.host = Host(folder / "host")
        self.host.key, self.live = self.ssl / "rui.key", self.ssl / "rui.crt"
        self.host.fullchain = self.live
        self.host.make_key()
        self.host.key.chmod(0o400)
        self.host.put_placeholder()
        self.live.chmod(0o640)
        self._web = _Web(folder / "web", self.live, self.host.key, name=NAME)
        self._sshd = _Sshd(folder / "sshd", etc)
        self._running = ExitStack()
        restart = _RESTART.format(folder=shlex.quote(str(self._web.folder)))
        for name, act in {"rhttpproxy": restart, "hostd": "", "vpxa": ""}.items():
            script = etc / "init.d" / name
            script.write_text(_SCRIPT.format(name=name, act=act), encoding="utf-8")
            script.chmod(0o755)
        self.facts = Facts(
            PRESET,
            f"{_version(nginx.PACKAGE)} behind {_version(sshd.PACKAGE)}",
            "not proven on ESXi itself",
            way="on a stand-in",
        ).with_kept()
        self.fault = ""

    def __enter__(self) -> Self:
        self._running.enter_context(self._web)
        self._running.enter_context(self._sshd)
        self.site = RemoteSite(self.host, self._sshd, self.ssl)
        self.host.key = Path(_SSL) / "rui.key"
        self.configure()
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def configure(self, files: str = "", seconds: int = 10) -> None:
        """agent.toml, by the preset alone but for the port and the time that is waited."""
        own = f'service = "{PRESET}"\nsettle = "{seconds}s"\n{files}'
        probe = [f"https://127.0.0.1:{self._web.port}"]
        self.site.configure(probe=probe, files=own, probe_timeout=f"{seconds}s")
        text = self.host.config.read_text(encoding="utf-8").replace("check = []\nactivate = []\n", "")
        self.host.config.write_text(text, encoding="utf-8")

    def install(self) -> Issued:
        """A new certificate comes, and is served after a run."""
        self.present = self.host.offer_new()
        done = self.host.run("--retry")
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert self.shows(self.present)
        return self.present

    def run(self) -> Done:
        return self.host.run()

    def shows(self, issued: Issued) -> bool:
        try:
            return served_by(parse_target(f"https://127.0.0.1:{self._web.port}")) == issued.certificate
        except OSError:
            return False

    def hello(self) -> None:
        """A handshake of a client. Raises OSError."""
        self._web.served()

    def content(self) -> tuple[bytes, int, int, int]:
        """The live file, with its mode and owner."""
        facts = self.live.stat()
        return self.live.read_bytes(), facts.st_mode, facts.st_uid, facts.st_gid

    def told(self) -> int:
        """How often the web service was restarted so far."""
        return (self._web.folder / "told").read_text(encoding="utf-8").count("\n")

    def goes_wrong(self, fault: str) -> None:
        """At the next restart."""
        (self._web.folder / "fault").write_text(fault, encoding="utf-8")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Somebody has stopped the web service."""
        self._web.down.touch()
        os.kill(int((self._web.folder / "child").read_text(encoding="ascii")), signal.SIGKILL)
        wait_until(lambda: not accepts_tcp(LOOPBACK, self._web.port), "it has stopped")
        yield
        self._web.down.unlink()

    def restore(self) -> None:
        """All is as it was, with a new certificate in place unless the last one is served."""
        (self._web.folder / "fault").unlink(missing_ok=True)
        self.configure()
        wait_until(lambda: self.shows(self.present), "the one installed last is served", 20)
        if self.host.reported()["state"] != "installed":
            self.install()

    def saw(self, sentence: str) -> None:
        self.facts.saw(self.fault, sentence)


def _version(package: str) -> str:
    asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout
