"""A private room for one benchmark: a network with nothing but loopback, and this room's own resolver and trust.

Every contender then finds port 53 on 127.0.0.1, resolves names through our BIND and trusts our Pebble the way it would
trust a public CA: by the system's resolv.conf and CA bundle, which are ours in here and untouched outside. Nothing can
leave the machine. Made by unshare(1), for root as well as for an ordinary user where user namespaces are allowed.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers.process import program

INSIDE = "CERTFLEET_BENCH_ROOM"
RESOLV_CONF = Path("/etc/resolv.conf")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def enter() -> None:
    """Become the same command inside a new room, unless this is one. Does not return the first time."""
    if os.environ.get(INSIDE):
        subprocess.run([program("ip", "iproute2"), "link", "set", "lo", "up"], check=True)
        return
    unshare = [program("unshare", "util-linux"), "--net", "--mount"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    command = [*unshare, sys.executable, "-m", "tests.bench", *sys.argv[1:]]
    os.execve(command[0], command, os.environ | {INSIDE: "1"})  # noqa: S606 - our own program once more


def furnish(folder: Path, ca: bytes) -> Path:
    """Show everybody in the room our resolver, and the system's CA bundle with *ca* added; returns that bundle."""
    bundle = folder / "bundle.pem"
    bundle.write_bytes(CA_BUNDLE.read_bytes() + b"\n" + ca)
    resolv_conf = folder / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n", encoding="ascii")
    for ours, theirs in ((bundle, CA_BUNDLE), (resolv_conf, RESOLV_CONF)):
        subprocess.run([program("mount", "mount"), "--bind", str(ours), str(theirs)], check=True)
    return bundle
