"""The recursive resolvers of this machine, as its resolv.conf names them."""

from pathlib import Path

SYSTEM = Path("/etc/resolv.conf")


def nameservers(file: Path = SYSTEM) -> list[str]:
    """The addresses of the nameserver lines; without any, this machine itself (resolv.conf(5))."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    addresses = [entry[1] for entry in words if len(entry) > 1 and entry[0] == "nameserver" and "%" not in entry[1]]
    return addresses or ["127.0.0.1"]
