"""A certificate as agent.toml asks for it: frozen, and built only from the operator's own configuration."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from agent.model.probe_targets import ProbeTarget
from common.names import is_address

Command = tuple[str, ...]
"""One program and its arguments; never a line for a shell."""


@dataclass(frozen=True, slots=True)
class TargetFile:
    """A file to write: its parts ("certificate", "chain", "key") in order, and whose it is. Without owner, group or
    mode the live file keeps those it has."""

    path: Path
    parts: tuple[str, ...]
    owner: str = ""
    group: str = ""
    mode: int | None = None

    @property
    def holds_key(self) -> bool:
        return "key" in self.parts


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything that one ``[[certificate]]`` of agent.toml asks for, with the presets' defaults filled in.
    *issuer_key*: only what this key has signed is installed; "" believes the source."""

    name: str
    names: frozenset[str]
    key: Path
    services: tuple[str, ...] = ()
    files: tuple[TargetFile, ...] = ()
    check: tuple[Command, ...] = ()
    activate: tuple[Command, ...] = ()
    probes: tuple[ProbeTarget, ...] = ()
    issuer_key: str = ""

    @property
    def server_name(self) -> str:
        """The DNS name to ask for where a probe's host is an address: one that the certificate covers. "" for a
        certificate of addresses alone: TLS has no way to ask for those (RFC 6066 §3)."""
        known = [name for name in (self.name, *sorted(self.names)) if not is_address(name)]
        plain = [name for name in known if name in self.names and not name.startswith("*.")]
        return (plain or known or [""])[0].replace("*", "www", 1)

    def circumstances(self, key_stamp: str) -> str:
        """A digest that changes with every setting of this certificate and with its key file, of which *key_stamp* says
        when it last changed: then a refused certificate has a new chance."""
        facts: tuple[object, ...] = (sorted(self.names), self.key, self.files, self.check, self.activate, self.probes)
        facts += (self.issuer_key,) if self.issuer_key else ()
        settings = hashlib.sha256(repr(facts).encode()).hexdigest()
        return hashlib.sha256(f"{settings} {key_stamp}".encode()).hexdigest()


def file_stem(name: str) -> str:
    """The name as a file name: a wildcard's star would be expanded by shells, so it becomes a word."""
    return name.replace("*", "_wildcard")
