"""A daemon of the drill, as Debian ships it: the files that it reads, the sockets that show its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass

NAME = "www.example.test"
KEY = f"/etc/ssl/private/{NAME}.key"
FULLCHAIN = f"/etc/ssl/certs/{NAME}.fullchain.crt"


@dataclass(frozen=True, slots=True)
class Daemon:
    """One daemon. *files* are written before it starts (text by path), *modes* are those that are not 0644; *live* is
    the file by which its certificate can be told; *probe* is where it shows it, *port* where TLS begins at once.
    *restarts*: a new certificate costs its clients a moment."""

    preset: str
    package: str
    unit: str
    port: int
    reload: str
    files: Mapping[str, str]
    probe: tuple[str, ...] = ()
    live: str = FULLCHAIN
    prepare: tuple[tuple[str, ...], ...] = ()
    more: str = ""  # in agent.toml
