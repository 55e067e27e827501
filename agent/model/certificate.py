"""A certificate as agent.toml asks for it: frozen, and built only from the operator's own configuration."""

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from agent.model.remote_host import RemoteHost
from agent.model.window import Window
from common.dataclasses import dataclass
from common.names import is_address
from common.probe.target import ProbeTarget
from common.text import some

Command = tuple[str, ...]
"""One program and its arguments; never a line for a shell."""

Action = str
"""How a service takes new files, whatever the host has for it: "reload", "restart", or a signal's name, "SIGHUP"."""
ASK = "ask"
"""The Action of a person: a service that takes new files when an operator restarts it. on_install says it too."""

WAYS_TO_TELL = ("syslog", "email", "reboot")
Means = str | Command
"""How people are told: one of WAYS_TO_TELL, or a command that gets the facts in its environment."""

Roots = Literal["system", "none"] | Path
"""The roots that the clients of this host trust: those of the system's store, or a PEM file; "none" asks for none."""
Anchors = Roots | bytes
"""The same; or roots in PEM."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Owner, group and mode of a file; "" and None say nothing."""

    owner: str = ""
    group: str = ""
    mode: int | None = None

    def or_else(self, other: "Rights") -> "Rights":
        """These, and where they say nothing, those of *other*."""
        mode = other.mode if self.mode is None else self.mode
        return Rights(self.owner or other.owner, self.group or other.group, mode)


@dataclass(frozen=True, slots=True)
class Keystore:
    """A file in PKCS#12 (RFC 7292), with the name of its entry, protected by the password in a file."""

    password_file: Path
    alias: str


@dataclass(frozen=True, slots=True)
class TargetFile:
    """A file to write: its parts ("certificate", "chain", "key") in order, and whose it is. Without owner, group or
    mode the live file keeps those it has; one that is not there yet gets those of *at_first*. *keystore*: the parts
    are not PEM."""

    path: Path
    parts: tuple[str, ...]
    owner: str = ""
    group: str = ""
    mode: int | None = None
    at_first: Rights = Rights()
    keystore: Keystore | None = None

    @property
    def holds_key(self) -> bool:
        return "key" in self.parts

    @property
    def begins_with_chain(self) -> bool:
        """Does the chain stand before the certificate?"""
        return [part for part in self.parts if part != "key"] == ["chain", "certificate"]


@dataclass(frozen=True, slots=True)
class Service:
    """A service, as installs see it: two certificates concern the same service if these are equal."""

    name: str  # of its preset; "" where agent.toml has the commands
    check: tuple[Command, ...] = ()  # its own test of its configuration
    activate: tuple[Command, ...] = ()  # make it read its files anew
    verify: tuple[Command, ...] = ()  # prove afterwards what no socket shows
    start: tuple[Command, ...] = ()  # bring it up again if it died
    restart: tuple[Command, ...] = ()  # the same where a start does nothing: the host takes it for up, or for failed
    starts_stopped: bool = False  # it is also started if it was down before
    asks: bool = False  # an operator restarts it, and nobody else
    is_up: tuple[Command, ...] = ()  # fail where it does not run
    jobs: tuple[Command, ...] = ()  # wait until systemd has done what it does with it just now
    was_stopped: tuple[Command, ...] = ()  # fail unless somebody has stopped it
    has_ended: tuple[Command, ...] = ()  # fail unless it has ended for good: nothing starts it again unasked
    journal: tuple[Command, ...] = ()  # print the last lines of its unit
    logs: tuple[str, ...] = ()  # files that it writes; a star stands for any text
    settle: int = 0  # seconds that it may take to show a new certificate, if more than others
    reader: str = ""  # the user that reads the key
    may_read: Command = ()  # fails where it runs as that user and may not read the file appended to it; (): reads all
    host: str = ""  # where it runs; "": on this machine

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name or "the service"

    @property
    def is_told(self) -> bool:
        """Does any command concern it when its files change?"""
        return bool(self.check or self.activate or self.asks)


@dataclass(frozen=True, slots=True)
class Use:
    """A certificate in a service, and where that must show it."""

    service: Service
    probes: tuple[ProbeTarget, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything that one ``[[certificate]]`` of agent.toml asks for, with the presets' defaults filled in."""

    name: str
    names: frozenset[str]
    key: Path
    files: tuple[TargetFile, ...] = ()
    uses: tuple[Use, ...] = ()
    roots: Roots = "system"  # a file is one of this machine
    issuer_key: str = ""  # only what this key has signed is installed; "" believes the source
    window: Window | None = None  # None: any time
    on_install: tuple[Means, ...] = ()  # who is told of a new certificate; of one that waits for a person, too
    on_failure: tuple[Means, ...] = ()  # who is told of one that is not well
    host: RemoteHost | None = None  # where key, files and services are, if not on this machine

    @property
    def paths(self) -> str:
        """Its files, for people."""
        return some([str(file.path) for file in self.files])

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that read its files."""
        return tuple(use.service for use in self.uses)

    @property
    def to_read(self) -> str:
        """`to_read` for all of its services."""
        return to_read(self.services)

    @property
    def probes(self) -> tuple[ProbeTarget, ...]:
        """Every socket that must show it."""
        return tuple(dict.fromkeys(probe for use in self.uses for probe in use.probes))

    @property
    def by_hand(self) -> frozenset[str]:
        """The sockets, as texts, that show a new one only when an operator has restarted their service."""
        return frozenset(probe.text for use in self.uses if use.service.asks for probe in use.probes)

    @property
    def is_label(self) -> bool:
        """Is its name a label, and none of its names? It may be like one, as for a second key."""
        return self.name not in self.names

    @property
    def server_name(self) -> str:
        """The DNS name to ask for where a probe's host is an address: one that the certificate covers. "" for a
        certificate of addresses alone: TLS has no way to ask for those (RFC 6066 §3)."""
        known = [name for name in (self.name, *sorted(self.names)) if not is_address(name)]
        plain = [name for name in known if name in self.names and not name.startswith("*.")]
        return (plain or known or [""])[0].replace("*", "www", 1)

    @property
    def next_key(self) -> Path:
        """The file of a key that is to take the place of the present one, on the same host."""
        return Path(f"{self.key}.next")

    @property
    def keys(self) -> tuple[Path, Path]:
        """The files of its key and its next key. They count for its `circumstances`."""
        return self.key, self.next_key

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files of this machine that count for them too: its roots, the passwords of its keystores."""
        passwords = tuple(file.keystore.password_file for file in self.files if file.keystore is not None)
        return (*((self.roots,) if isinstance(self.roots, Path) else ()), *passwords)

    def circumstances(self, stamps: Sequence[str]) -> str:
        """A digest (SHA-256, hex) that changes with every setting that decides what is installed (its window and the
        people who are told do not), and with the *stamps* of its keys and inputs. After a change a refused certificate
        has a new chance, and an installed one is looked at anew."""
        facts: tuple[object, ...] = (sorted(self.names), self.key, self.files, self.uses)
        facts += (self.roots, *filter(None, (self.issuer_key, self.host)))
        settings = hashlib.sha256(repr(facts).encode()).hexdigest()
        return hashlib.sha256(" ".join((settings, *stamps)).encode()).hexdigest()


def why_in_logs(services: Sequence[Service]) -> str:
    """A hint for people that names the logs of *services*; it serves days later too. "" where no log is known."""
    commands = [command for service in services for command in service.journal]
    units = [word for command in commands for word in command if word.startswith("--unit=")]
    journal = [shlex.join(["journalctl", "--pager-end", *units])] if units else []
    logs = dict.fromkeys([*journal, *(file for service in services for file in service.logs)])
    return f"see why in its log: {'; '.join(logs)}" if logs else ""


def to_read(services: Sequence[Service]) -> str:
    """The end of a hint: where the traps of *services* are told; "" where agent.toml has all commands."""
    first, *others = [one.name for one in services if one.name] or [""]
    more = "".join(f", `… {name}`" for name in others)
    return f"; for its traps see `certfleet-agent presets {first}`{more}" if first else ""


def file_stem(name: str) -> str:
    """The name as a file name: a wildcard's star would be expanded by shells, so it becomes a word."""
    return name.replace("*", "_wildcard")
