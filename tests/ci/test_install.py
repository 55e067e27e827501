"""Installing what the tests need leaves the services of the machine alone: by Debian's own tools, in another root."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import program, wait_until

ROOT = Path(__file__).parents[2]
UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
LSB = "#!/bin/sh\n### BEGIN INIT INFO\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n"
# These programs enable the service of a Debian package, and ask whether it may start.
APT_GET = """#!/bin/sh
case "$*" in *update*) exit ;; esac
export DPKG_MAINTSCRIPT_PACKAGE=new
deb-systemd-helper enable new.service >&2
update-rc.d new defaults >&2
mv "$DPKG_ROOT/etc/rc2.d/S01old" "$DPKG_ROOT/etc/rc2.d/S02old"
"$DPKG_ROOT/usr/sbin/policy-rc.d" new start; echo $? >"$DPKG_ROOT/asked"
[ ! -e "$DPKG_ROOT/wait" ] || exec sleep 60 # while dash starts a child both lose a signal
[ ! -e "$DPKG_ROOT/fail" ]
"""


class Other:
    """A root with a service that is enabled, and an apt-get that brings another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for unit in ("old", "new"):
            self.write(f"lib/systemd/system/{unit}.service", UNIT + (f"Alias={unit}d.service\n"))
            self.write(f"etc/init.d/{unit}", LSB, 0o755)
        self.write("bin/apt-get", APT_GET, 0o755)
        (folder / "usr" / "sbin").mkdir(parents=True)
        self.environment = {
            **os.environ,
            "DPKG_ROOT": str(folder),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "DPKG_MAINTSCRIPT_PACKAGE": "old",
        }
        for tool in ("deb-systemd-helper", "update-rc.d"):
            program(tool, "init-system-helpers")
        self.run("deb-systemd-helper", "enable", "old.service")
        self.run("update-rc.d", "old", "defaults")
        (folder / "etc/systemd/system/closed.service").symlink_to("/dev/null")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """One of its files."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def run(self, *command: str, code: int = 0) -> str:
        """A command that knows of this root; what it says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    def install(self, code: int = 0) -> str:
        return self.run(str(ROOT / ".ci" / "install"), "new", code=code)

    def enabled(self) -> set[str]:
        """Every link of systemd, and of init the ones that start something, without their numbers."""
        units = [link for link in (self.folder / "etc/systemd").rglob("*") if link.is_symlink()]
        found = {link.name for link in units}
        return found | {f"{link.parent.name}/{link.name[3:]}" for link in self.folder.glob("etc/rc?.d/S*")}


OLD = {"old.service", "oldd.service", "closed.service"} | {f"rc{level}.d/old" for level in "2345"}


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    made = Other(tmp_path)
    assert made.enabled() == OLD
    yield made
    assert made.enabled() == OLD
    assert len(list(tmp_path.glob("etc/rc?.d/K*new"))) == 7, "init was told that it is off"
    assert (tmp_path / "asked").read_text() == "101\n"


def test_what_is_installed_is_neither_started_nor_enabled(other: Other) -> None:
    """A unit, its alias and its script of init; and nothing of the installation stays."""
    other.install()
    assert os.listdir(other.folder / "usr" / "sbin") == []
    assert not (other.folder / "etc/systemd/system/multi-user.target.wants/new.service").is_symlink()


def test_a_policy_of_the_machine_comes_back(other: Other) -> None:
    """Also when apt-get fails, whose words are shown."""
    other.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
    other.write("fail", "")
    assert "apt-get could not install new" in other.install(code=1)
    assert (other.folder / "usr/sbin/policy-rc.d").read_text() == "#!/bin/sh\nexit 0\n"


def test_an_installation_that_is_interrupted(other: Other) -> None:
    """What it had enabled so far is disabled."""
    other.write("wait", "")
    child = subprocess.Popen([ROOT / ".ci" / "install", "new"], env=other.environment, start_new_session=True)
    try:
        wait_until(
            lambda: (other.folder / "asked").exists() and (other.folder / "asked").read_text() != "",
            "the package asks whether it may start",
        )
    finally:
        os.killpg(child.pid, signal.SIGINT)
    assert child.wait(30) == 130
    assert os.listdir(other.folder / "usr" / "sbin") == []


def test_an_upgrade_enables_nothing(other: Other) -> None:
    """Debian's own tools hold the service for disabled, and leave it so."""
    other.install()
    other.run("deb-systemd-helper", "was-enabled", "new.service", code=1)
    other.run("update-rc.d", "new", "defaults")
