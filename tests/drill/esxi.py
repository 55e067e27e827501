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

from agent.host import keys
from common.probe.target import parse_target
from tests.agent.host import AGENT, NAME, Done, Host
from tests.agent.remote import RemoteSite
from tests.drill.clients import served_by
from tests.drill.drill import OTHERS
from tests.drill.facts import Facts
from tests.drill.faults import SHUT, wrapped
from tests.servers import nginx, sshd
from tests.servers.authority import Issued
from tests.servers.cutting import Cutting
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
    ends) touch down ;;
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
    """An sshd whose sessions see the /etc of an ESXi host in the place of this machine's. *wrap*: words that start
    it."""

    def __init__(self, folder: Path, etc: Path) -> None:
        super().__init__(folder, sftp="/nonexistent")
        self._etc = etc
        self.wrap: list[str] = []

    def in_its_view(self, *words: str) -> list[str]:
        """Words that do this to what its sessions see."""
        assert self._process is not None
        return ["nsenter", "--mount", f"--target={self._process.pid}", *words]

    def _command(self) -> list[str]:
        script = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self._etc), *self.wrap, *super()._command()]


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

    def configure(self, files: str = "", seconds: int = 10, *, others: bool = False) -> None:
        """agent.toml, by the preset alone but for the port and the time that is waited; and with the *others*, which no
        socket shows."""
        own = f'service = "{PRESET}"\nsettle = "{seconds}s"\n{files}'
        probe = [f"https://127.0.0.1:{self._web.port}"]
        self.site.configure(probe=probe, files=own, probe_timeout=f"{seconds}s")
        text = self.host.config.read_text(encoding="utf-8").replace("check = []\nactivate = []\n", "")
        entries = "".join(
            f'[[certificate]]\nname = "{name}"\nkey = "{self.host.key}"\nservice = "{PRESET}"\nprobe = []\n'
            f'{self.site.settings}[certificate.files]\nfullchain = "{_SSL}/{name}.pem"\n'
            for name in OTHERS
        )
        self.host.config.write_text(text + (entries if others else ""), encoding="utf-8")

    def offer_others(self) -> None:
        """Certificates of the others come, for the same key."""
        key = keys.load(self.ssl / "rui.key")
        for name in OTHERS:
            issued = self.host.authority.sign(keys.csr(key, (name,)))
            self.host.offer(issued.cert_pem, issued.chain_pem, name=name)

    def install(self) -> Issued:
        """A new certificate comes, and is served after a run."""
        self.present = self.host.offer_new()
        done = self.host.run("--retry")
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert self.shows(self.present)
        return self.present

    def run(self, program: str = AGENT) -> Done:
        return self.host.run(program=program)

    @property
    def folders(self) -> tuple[str, str]:
        """Where the agent writes: beside the live file there, and its own."""
        return _SSL, str(self.host.state_dir)

    def run_where(self, script: str, folder: str) -> Done:
        """A run in which *script* has been done to that one of the folders."""
        if folder != _SSL:
            return self.host.run(wrap=wrapped(script, folder))
        with self.seen_through(script):
            return self.run()

    @contextmanager
    def seen_through(self, script: str) -> Iterator[None]:
        """Sessions there see the folder of the live file as *script* has made it."""
        self._start_sshd(wrapped(script, _SSL))
        try:
            yield
        finally:
            self._start_sshd([])

    def _start_sshd(self, wrap: list[str]) -> None:
        self._sshd.stop()
        self._sshd.wrap = wrap
        self._sshd.start()

    @property
    def shut(self) -> list[str]:
        """Words by which that folder becomes read-only there, if it is MOUNTED."""
        return self._sshd.in_its_view(*SHUT, _SSL)

    @contextmanager
    def behind(self, line: Cutting) -> Iterator[None]:
        """The agent reaches it by that line."""
        port = self.site.port
        self.site.behind(line.port)
        self.configure()
        yield
        self.site.behind(port)
        self.configure()

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

    def leftovers(self) -> list[Path]:
        """Temporaries beside the live file, an open journal and a work folder."""
        return [*self.ssl.glob(".*"), *self.host.leftovers()]

    def told(self) -> int:
        """How often the web service was restarted so far."""
        return (self._web.folder / "told").read_text(encoding="utf-8").count("\n")

    def goes_wrong(self, fault: str) -> None:
        """At the next restart; "keeps" and "ends" at each until `is_mended`."""
        (self._web.folder / "fault").write_text(fault, encoding="utf-8")

    def is_mended(self) -> None:
        """Somebody has mended the web service, and started it."""
        (self._web.folder / "fault").unlink(missing_ok=True)
        self._web.down.unlink(missing_ok=True)
        wait_until(lambda: self.shows(self.present), "the one installed last is served", 20)

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
        self.configure()
        self.is_mended()
        if self.host.reported()["state"] != "installed":
            self.install()

    def saw(self, sentence: str) -> None:
        self.facts.saw(self.fault, sentence)


def _version(package: str) -> str:
    asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout
