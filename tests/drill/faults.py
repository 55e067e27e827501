"""Faults that an install meets on a machine: in the daemon's unit, on its disks, in the agent's own process."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.drill.drill import FAULT, STATE, Drill

OLD = "/run/drill.old"
# Both are in the agent's own mount namespace: the daemon and its files do not see them
MOUNTED = 'mount --bind "$0" "$0" && exec "$@"'
SHUT = ["mount", "-o", "remount,bind,ro"]  # what is MOUNTED
READ_ONLY = f'mount --bind "$0" "$0" && {" ".join(SHUT)} "$0" && exec "$@"'
FULL = """mkdir /run/small; mount -t tmpfs -o size=8m tmpfs /run/small; cp -a "$0/." /run/small
cat /dev/zero >/run/small/.fill 2>/dev/null || mount --move /run/small "$0"
rmdir /run/small; exec "$@"
"""


@contextmanager
def dies(drill: Drill, *, for_good: bool = False) -> Iterator[None]:
    """The daemon ends when it is told of a new certificate; it can be started with the old one, unless *for_good*. A
    socket of systemd's starts it with no other either."""
    more = ["ExecStartPre=+/bin/false" if for_good else f"ExecStartPre=+/usr/bin/cmp -s {drill.daemon.live} {OLD}"]
    with _told(drill, "kill -KILL $(others); exit 1", "ExecStartPre", more):
        yield


@contextmanager
def dies_later(drill: Drill) -> Iterator[None]:
    """The daemon says that all is well, and ends a second after."""
    later = "all=$(others); (sleep 1; kill -KILL $all) & exit 0"
    with _told(drill, later, "ExecStartPost"):
        yield


@contextmanager
def keeps_the_old_one(drill: Drill) -> Iterator[None]:
    """The daemon says that all is well, and goes on with what it had."""
    if drill.daemon.fresh:
        with _sees_the_old_folder(drill):
            yield
        return
    if drill.daemon.reload or drill.daemon.tool:
        with _told(drill, "exit 0"):
            yield
        return
    _remember(drill)
    with _edited(drill, f"BindReadOnlyPaths={OLD}:{drill.daemon.live}"):
        yield


@contextmanager
def does_not_answer(drill: Drill) -> Iterator[None]:
    """The daemon takes connections, and says nothing more."""
    with _told(drill, "kill -STOP $(others); exit 0", "ExecStartPost"):
        yield


@contextmanager
def another_key(drill: Drill, pem: bytes, path: str) -> Iterator[None]:
    """Somebody has exchanged the key file."""
    file = drill.machine.path(path)
    was = file.read_bytes()
    file.write_bytes(pem)
    try:
        yield
    finally:
        file.write_bytes(was)


def wrapped(script: str, folder: str) -> list[str]:
    """Words that start a command where *script* has been done to *folder*."""
    return ["unshare", "--mount", "sh", "-ec", script, folder]


def folders(drill: Drill) -> tuple[str, str]:
    """Where the agent writes: beside the live file, and its own."""
    return str(Path(drill.daemon.live).parent), STATE


@contextmanager
def _sees_the_old_folder(drill: Drill) -> Iterator[None]:
    """The daemon has a copy of the live file's folder in its place, as one in a container may have."""
    folder, copy, unit = folders(drill)[0], "/run/drill.folder", drill.daemon.unit
    drill.machine.run("rm", "-rf", copy)
    drill.machine.run("cp", "-a", folder, copy)
    with _edited(drill, f"BindReadOnlyPaths={copy}:{folder}"):
        drill.machine.run("systemctl", "restart", unit)
        yield
    drill.machine.run("systemctl", "restart", unit)


@contextmanager
def _told(drill: Drill, script: str, when: str = "", more: list[str] | None = None) -> Iterator[None]:
    """Let *script* be done in place of a reload, or at *when* of a restart, while the live file is not what it is now;
    to a daemon that is not told when that file changes. With the file of now a daemon that was stopped goes on."""
    daemon = drill.daemon
    _remember(drill)
    group = drill.machine.show(daemon.unit, "ControlGroup")[0]
    real = '"$@"' if daemon.tool else daemon.reload or "true"
    lines = [
        f"others() {{ grep -vxe $$ -e $PPID /sys/fs/cgroup{group}/cgroup.procs; }}",
        f"if cmp -s {daemon.live} {OLD}; then kill -CONT $(others) 2>/dev/null; {real}; exit; fi",
        script,
    ]
    drill.machine.write(FAULT, "\n".join([*lines, ""]))
    if daemon.tool or daemon.untold:
        edit = []
    elif daemon.reload:
        edit = ["ExecReload=", f"ExecReload=+/bin/sh {FAULT}"]
    else:
        edit = [f"{when}=+/bin/sh {FAULT}"]
    try:
        with _edited(drill, *edit, *(more or [])), _at_each_change(drill) if daemon.untold else nullcontext():
            yield
    finally:
        drill.machine.path(FAULT).unlink()


@contextmanager
def _at_each_change(drill: Drill) -> Iterator[None]:
    """systemd does the fault as soon as the live file changes."""
    units = "/etc/systemd/system/drill-fault"
    drill.machine.write(f"{units}.path", f"[Path]\nPathChanged={drill.daemon.live}\n")
    drill.machine.write(f"{units}.service", f"[Service]\nType=oneshot\nExecStart=-/bin/sh {FAULT}\n")
    drill.machine.run("systemctl", "daemon-reload")
    drill.machine.run("systemctl", "start", "drill-fault.path")
    try:
        yield
    finally:
        drill.machine.run("systemctl", "stop", "drill-fault.path")


@contextmanager
def _edited(drill: Drill, *lines: str) -> Iterator[None]:
    """The unit has these lines for a while; systemd does not start it by itself, as it does for some of Debian's."""
    unit = f"{drill.daemon.unit}.service"
    drill.machine.edit(unit, "Restart=no", *lines)
    try:
        yield
    finally:
        drill.machine.edit(unit)


def _remember(drill: Drill) -> None:
    drill.machine.run("cp", drill.daemon.live, OLD)
