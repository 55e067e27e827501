"""A systemd of a test's own, process 1 of a machine that shares only kernel and network with this one.

Wants root, overlayfs, and a control group (version 2) to divide. `why_not` says what is missing.
"""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers.process import ServerFailed, wait_until
from tests.servers.server import Server

SECONDS = 300  # of one command: Samba sets a domain up in ten, and in a hundred on a machine that is busy
_NAMESPACES = ("--pid", "--mount", "--cgroup", "--uts", "--ipc")


def why_not() -> str:
    """The reason why there can be none here; "" if there can."""
    if os.geteuid() != 0:
        return "only root can start a systemd of its own"
    if _control_groups() is None:
        return "no control group of version 2 that may be divided"
    script = 'mkdir "$1/u" "$1/w" "$1/r" && mount -t overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" overlay "$1/r"'
    place = "mount -t tmpfs tmpfs /mnt && set -- /mnt && " + script
    tried = subprocess.run(["unshare", *_NAMESPACES, "--fork", "sh", "-c", place], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"no machine of its own: {tried.stderr.decode().strip()}"


class Systemd(Server):
    """One systemd with a journal and no services but those a test installs in `root`/etc/systemd/system.

    It sees the root file system as it is when it starts, an empty /tmp, and of other file systems what `mounts` says:
    place in there to folder here, read-only. What it changes is lost at its end.
    """

    def __init__(self, folder: Path, mounts: Mapping[str, Path]) -> None:
        super().__init__(folder)
        self._mounts = mounts
        self._group: Path | None = None

    @property
    def root(self) -> Path:
        """Its file system as seen from here."""
        return Path(f"/proc/{self._first()}/root")

    def run(self, *command: str, code: int = 0, stdin: str = "") -> str:
        """What a command in there prints; it has to end with this exit code."""
        done = self.execute(*command, stdin=stdin)
        said = f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, said
        return done.stdout

    def execute(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """How a command in there ends, and what it prints."""
        return subprocess.run(
            [*self._enter(), *command], check=False, capture_output=True, text=True, input=stdin, timeout=SECONDS
        )

    def show(self, unit: str, *properties: str) -> tuple[str, ...]:
        """Properties of a unit, in the order asked for."""
        lines = self.run("systemctl", "show", unit, f"--property={','.join(properties)}").splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return tuple(found[name] for name in properties)

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What the journal has of a unit: its own messages, and systemd's about it."""
        self.run("journalctl", "--sync")
        return [json.loads(line) for line in self.run("journalctl", "-o", "json", "-u", unit).splitlines()]

    def stop(self) -> None:
        """End it with everything in it, at once."""
        group, self._group = self._group, None
        if group is not None:
            (group / "cgroup.kill").write_text("1", encoding="ascii")
            wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(encoding="ascii"), "all have ended")
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()
        self._end(signal.SIGKILL)

    def _configure(self) -> None:
        groups = _control_groups()
        if groups is None:
            raise ServerFailed("no control group of version 2 that may be divided")
        self._group = groups / f"certfleet-test-{os.getpid()}-{id(self)}"
        self._group.mkdir()
        (self.folder / "root").mkdir(exist_ok=True)

    def _command(self) -> list[str]:
        script = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
        # unshare itself holds SIGTERM back, and must not outlive the tests
        become = ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-ec", script, "sh", str(self._group)]
        unshare = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
        boot = ["sh", str(Path(__file__).with_name("systemd_root.sh")), str(self.folder / "root")]
        mounts = [word for place, folder in self._mounts.items() for word in (str(folder), place)]
        return [*become, *unshare, *boot, *mounts]

    def _ready(self) -> bool:
        command = [*self._enter(), "systemctl", "is-system-running"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
        return done.stdout.strip() == "running"

    def _first(self) -> int:
        """Its process id as seen from here: the only child of the unshare that was started."""
        if self._process is None:
            raise ServerFailed("systemd has not been started")
        number = self._process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text(encoding="ascii").split()
        if len(children) != 1 or Path(f"/proc/{children[0]}/comm").read_text(encoding="ascii") != "systemd\n":
            raise ServerFailed("systemd has not come so far")
        return int(children[0])

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._first()), *_NAMESPACES, "--root", "--wd", "--"]


def _control_groups() -> Path | None:
    """Where the control groups of version 2 are mounted for writing."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    return None
