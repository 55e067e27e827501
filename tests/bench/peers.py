"""The other clients, each with the shortest honest settings that work: no propagation pause, minimal hooks, P-256.

One process a name where the client knows no other way. Where it takes a list (dehydrated), it gets the list.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.contender import Contender, Entry, on_path
from tests.bench.measure import Command
from tests.bench.scene import World

SETUP_SECONDS = 120
MAIL = "bench@bench.test"
CERTBOT_PACKAGES = "certbot python3-certbot-dns-rfc2136"


class Peer:
    """What the four have in common."""

    def __init__(self, folder: Path, world: World) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.world = world
        self.environment: Mapping[str, str] = world.environment()

    def do(self, command: Command) -> None:
        """One step of setting it up. Raises with all that it said."""
        with (self.folder / "setup.log").open("ab") as log:
            done = subprocess.run(
                list(command), stdout=log, stderr=log, env=self.environment, timeout=SETUP_SECONDS, check=False
            )
        if done.returncode:
            said = (self.folder / "setup.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{command[0]} could not be set up (exit code {done.returncode}):\n{said[-2000:]}")

    def file(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A configuration file or a hook."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def count(self, pattern: str) -> int:
        """Files below the folder that are there and not empty."""
        return sum(1 for path in self.folder.glob(pattern) if path.stat().st_size)

    def nsupdate(self, owner: str, change: str) -> str:
        """A line of shell that sends one signed update."""
        where = f"server {self.world.server} {self.world.port}"
        update = f"update {change}".replace("OWNER", f"_acme-challenge.{owner}.")
        return f"printf '{where}\\n{update}\\nsend\\n' | nsupdate -k {self.world.key_file}"


class Certbot(Peer):
    """certonly with the rfc2136 plugin, --dns-rfc2136-propagation-seconds 0."""

    def __init__(self, folder: Path, world: World, names: Sequence[str], program: str = "certbot") -> None:
        super().__init__(folder, world)
        self._program = program
        self._places = ["-n"]
        for place in ("config", "work", "logs"):
            self._places += [f"--{place}-dir", str(folder / place)]
        self._account = ["--server", world.directory, "--agree-tos", "-m", MAIL]
        lines = {
            "server": world.server, "port": world.port, "name": "acme.", "secret": world.secret,
            "algorithm": "HMAC-SHA512",
        }  # fmt: skip
        text = "".join(f"dns_rfc2136_{key} = {value}\n" for key, value in lines.items())
        self._credentials = self.file("rfc2136.ini", text)
        self.do([program, "register", *self._account, "--no-eff-email", *self._places])

    def issue(self, names: Sequence[str]) -> list[Command]:
        plugin = ["--dns-rfc2136", "--dns-rfc2136-credentials", str(self._credentials)]
        wait = ["--dns-rfc2136-propagation-seconds", "0"]
        command = [self._program, "certonly", *self._account, *self._places, *plugin, *wait]
        return [[*command, "-d", name] for name in names]

    def held(self) -> int:
        return self.count("config/live/*/cert.pem")

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        return [[self._program, "renew", "-q", "--no-random-sleep-on-renew", *self._places]]

    def copy(self, name: str, copies: Sequence[str]) -> None:
        """The certificate that it holds for *name* once more under each other name, files and settings alike."""
        config = self.folder / "config"
        settings = (config / "renewal" / f"{name}.conf").read_text(encoding="utf-8")
        for other in copies:
            self.file(f"config/renewal/{other}.conf", settings.replace(name, other))
            for part in ("archive", "live"):
                shutil.copytree(config / part / name, config / part / other, symlinks=True)
            for link in (config / "live" / other).iterdir():
                if link.is_symlink():
                    target = str(link.readlink()).replace(name, other)
                    link.unlink()
                    link.symlink_to(target)


class Lego(Peer):
    """run with --dns rfc2136 --dns.disable-cp and no polling interval; it registers with its first certificate only."""

    def __init__(self, folder: Path, world: World, names: Sequence[str]) -> None:
        super().__init__(folder, world)
        server = f"{world.server}:{world.port}"
        self.environment = {
            **self.environment,
            "RFC2136_NAMESERVER": server,
            "RFC2136_TSIG_ALGORITHM": "hmac-sha512.",
            "RFC2136_TSIG_KEY": "acme.",
            "RFC2136_TSIG_SECRET": world.secret,
            "RFC2136_POLLING_INTERVAL": "0",
            "RFC2136_SEQUENCE_INTERVAL": "0",
        }
        self._command = ["lego", "--accept-tos", "--email", MAIL, "--server", world.directory, "--path", str(folder)]
        self._command += ["--dns", "rfc2136", "--dns.resolvers", server, "--dns.disable-cp"]
        self.do([*self._command, "--domains", names[0], "run"])
        for file in (folder / "certificates").iterdir():
            file.unlink()

    def issue(self, names: Sequence[str]) -> list[Command]:
        return [[*self._command, "--domains", name, "run"] for name in names]

    def held(self) -> int:
        return self.count("certificates/*.test.crt")

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        return [[*self._command, "--domains", name, "renew", "--no-random-sleep"] for name in names]


class Dehydrated(Peer):
    """-c with all names in domains.txt, KEY_ALGO=prime256v1, and a hook of one nsupdate."""

    def __init__(self, folder: Path, world: World, names: Sequence[str]) -> None:
        super().__init__(folder, world)
        add, delete = (self.nsupdate("%s", change) for change in ("add OWNER 1 TXT %s", "delete OWNER TXT %s"))
        told = ' "$2" "$4" | '
        hook = f"""#!/bin/bash
case "$1" in
    deploy_challenge) {add.replace(" | ", told)} ;;
    clean_challenge) {delete.replace(" | ", told)} ;;
esac
"""
        settings = {
            "CA": world.directory, "CHALLENGETYPE": "dns-01", "BASEDIR": folder, "WELLKNOWN": folder,
            "HOOK": self.file("hook", hook, 0o700), "CONTACT_EMAIL": MAIL, "KEY_ALGO": "prime256v1",
            "DOMAINS_TXT": folder / "domains.txt",
        }  # fmt: skip
        self._config = self.file("config", "".join(f'{key}="{value}"\n' for key, value in settings.items()))
        self.file("domains.txt", "")
        self.do(["dehydrated", "--register", "--accept-terms", "-f", str(self._config)])

    def issue(self, names: Sequence[str]) -> list[Command]:
        self.file("domains.txt", "".join(f"{name}\n" for name in names))
        return [["dehydrated", "-c", "-g", "-f", str(self._config)]]

    def held(self) -> int:
        return sum(1 for path in self.folder.glob("certs/*/cert.pem") if path.is_symlink() and path.exists())

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        return self.issue(names)


class Uacme(Peer):
    """issue -t EC, and a hook of one nsupdate."""

    def __init__(self, folder: Path, world: World, names: Sequence[str]) -> None:
        super().__init__(folder, world)
        add = self.nsupdate("%s", "add OWNER 1 TXT %s").replace(" | ", ' "$3" "$5" | ')
        delete = self.nsupdate("%s", "delete OWNER TXT").replace(" | ", ' "$3" | ')
        hook = f"""#!/bin/sh
[ "$2" = dns-01 ] || exit 1
case "$1" in
    begin) {add} ;;
    done|failed) {delete} ;;
esac
"""
        hook_file = self.file("hook", hook, stat.S_IRWXU)
        self._command = ["uacme", "-a", world.directory, "-c", str(folder / "conf"), "-t", "EC", "-h", str(hook_file)]
        (folder / "conf").mkdir(exist_ok=True)
        self.do([*self._command, "-y", "new", MAIL])

    def issue(self, names: Sequence[str]) -> list[Command]:
        return [[*self._command, "issue", name] for name in names]

    def held(self) -> int:
        return self.count("conf/*.test/cert.pem")

    def nothing_due(self, names: Sequence[str]) -> list[Command]:
        return self.issue(names)


def newest_certbot(program: str) -> Entry:
    """certbot from PyPI, in an environment of its own that BENCH_CERTBOT names."""
    missing = "not measured: name a newer one's program in BENCH_CERTBOT" if not program else ""
    if program and not os.access(program, os.X_OK):
        missing = f"{program} is not there"

    def make(folder: Path, world: World, names: Sequence[str]) -> Contender:
        return Certbot(folder, world, names, program)

    return Entry("certbot-pypi", "as certbot, from PyPI", make, missing)


def entries() -> list[Entry]:
    """Every peer, whether it is installed or not."""
    plugin = Path("/usr/lib/python3/dist-packages/certbot_dns_rfc2136").is_dir()
    certbot = on_path("certbot", CERTBOT_PACKAGES) or ("" if plugin else f"no plugin (Debian: {CERTBOT_PACKAGES})")
    return [
        Entry("certbot", "rfc2136 plugin, 0 s for propagation", Certbot, certbot),
        newest_certbot(os.environ.get("BENCH_CERTBOT", "")),
        Entry("lego", "--dns.disable-cp, polling 0", Lego, on_path("lego", "lego")),
        Entry("dehydrated", "P-256, nsupdate hook, one run", Dehydrated, on_path("dehydrated", "dehydrated")),
        Entry("uacme", "-t EC, nsupdate hook", Uacme, on_path("uacme", "uacme")),
    ]
