"""A daemon of the drill, as Debian ships it: the files that it reads, the sockets that show its certificate."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.probe.target import ProbeTarget, parse_target

NAME = "www.example.test"
KEY = f"/etc/ssl/private/{NAME}.key"
ROOTS = "/etc/certfleet/roots.pem"
FULLCHAIN = f"/etc/ssl/certs/{NAME}.fullchain.crt"

SCRIPTS = ("/lib/systemd/system-generators/systemd-sysv-generator", "/tmp", "/tmp", "/etc/systemd/system")
"""For *prepare*: makes units for init scripts, as systemd does at each boot."""
_IN_PLACE_OF = """printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d
dpkg --remove --force-depends "$0"
cd /var/cache/certfleet; for package; do echo "$package"_*.deb; done |
    DEBIAN_FRONTEND=noninteractive xargs dpkg --install"""


@dataclass(frozen=True, slots=True)
class Talk:
    """The words of a client on a connection after its TLS handshake: *first* before the new certificate comes, *then*
    after it; what the service says then has these bytes, its *answer*."""

    first: bytes
    then: bytes
    answer: bytes


HTTP = Talk(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n".encode(), b"Connection: close\r\n\r\n", b"HTTP/1.1 ")


def name_of(preset: str, way: str) -> str:
    """The name of a drill, in test ids and file names."""
    return "_".join([preset, *way.split()])


def shown_after(starttls: str, port: int) -> str:
    """For *shows*: the certificate as OpenSSL's own client sees it, where TLS is asked for in clear."""
    return f"openssl s_client -starttls {starttls} -connect 127.0.0.1:{port} -name {NAME} </dev/null | openssl x509"


def appended(path: str, *lines: str) -> tuple[str, ...]:
    """For *prepare*: *lines* at the end of one of Debian's files."""
    return ("sh", "-ec", 'printf "%s\\n" "$@" >>"$0"', path, *lines)


def in_place_of(other: str, *packages: str) -> tuple[str, ...]:
    """For *prepare*: *packages* that cannot be installed beside the *other*; `.ci/packages` has fetched them."""
    return ("sh", "-ec", _IN_PLACE_OF, other, *packages)


@dataclass(frozen=True, slots=True)
class Daemon:
    """One daemon. Before it starts, the commands of *prepare* run, then *files* are written (text by path). *live* is
    the file by which its certificate can be told. *port*: where TLS begins at once; *probe*: all places where the
    certificate is shown, if there are others.

    *unit* (without .service) is the one whose processes serve; *front* the one that an administrator reloads, if it is
    another; *links*: further unit files of Debian's that the machine must have. *reload*: what the unit's ExecReload
    does, "" for a daemon that restarts: a new certificate costs its clients a moment.

    *verify*: what proves the service after its sockets; *settle*: the time that it gets, where the preset's own is for
    slower ones and would be waited for with each fault.

    *tool*: the program that the preset calls, and its first words, for a daemon that is told neither by reload nor by
    restart of its unit; *loses*: a reload costs clients a moment as well; *apart*: it is told for each certificate;
    *fresh*: it reads its files for each connection; *untold*: it sees new ones by itself, and its preset tells it
    nothing.

    *shows*: a command that prints the certificate shown (PEM), for a daemon without a socket of TLS over TCP.
    *misshapen*: in agent.toml, files by which the live file is to hold what the daemon cannot use; *unchecked*: its own
    check does not see that. *talk*: what is said on a connection that stays open. *short*: `make test` has it too.
    *way*: the words for how it is set up, where it is a further drill of the preset.
    """

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
    front: str = ""
    links: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    loses: bool = False
    apart: bool = False
    fresh: bool = False
    untold: bool = False
    shows: str = ""
    misshapen: str = ""
    unchecked: bool = False
    talk: Talk | None = None
    verify: tuple[str, ...] = ()
    settle: str = ""
    short: bool = False
    way: str = ""

    @property
    def name(self) -> str:
        return name_of(self.preset, self.way)

    @property
    def told(self) -> str:
        """The unit that an administrator reloads."""
        return self.front or self.unit

    @property
    def may_end_later(self) -> bool:
        """Can it end a moment after it was told, still with the old certificate? Not one that reads its files at a
        start or for each connection."""
        return bool(self.reload or self.tool) and not self.fresh and not self.front.endswith(".socket")

    @property
    def sockets(self) -> tuple[ProbeTarget, ...]:
        """Every place where a client sees its certificate over TCP."""
        texts = self.probe or ((f"tls://{NAME}:{self.port}",) if self.port else ())
        return tuple(target for text in texts if (target := parse_target(text)).scheme != "radius")
