"""The facts that a drill has seen of each daemon, kept as JSON: one file for each, written by the tests as they go."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.drill.daemon import name_of

FOLDER = Path(__file__).with_name("seen")
WANTED = "CERTFLEET_DRILL"  # in the environment: this run is to write what it sees, and must not skip

FAULTS = {
    "good": "A new certificate comes while clients go on connecting.",
    "unit": "The agent's own unit, in its sandbox, installs a new one; then the service keeps the old one.",
    "together": "Three certificates of the service are due in one run.",
    "stopped": "Somebody has stopped the service.",
    "refused": "The new file is one that the service cannot use.",
    "one of three": "Three certificates of the service are due, and one is one that the service cannot use.",
    "dies": "The service ends when it is told; one that systemd reloads also a moment after.",
    "keeps": "The service is told, says that all is well, and goes on with the old one.",
    "silent": "The service is told, takes connections, and does not answer.",
    "other key": "The certificate is for another key; then the key file is exchanged.",
    "disk full": "The disk of the live file is full; then that of the state folder.",
    "read-only": "The folder of the live file is read-only; then the state folder is.",
    "no way back": "The folder becomes read-only after the swap; then the service cannot be started again.",
    "killed": "The agent is ended by SIGKILL at a boundary of the journey.",
}
"""Each fault by its name, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about the daemon of one preset: its Debian package with the version, the *system* it ran on,
    the *way* it was set up, and a sentence for each fault."""

    preset: str
    package: str
    system: str
    seen: dict[str, str] = field(default_factory=dict)
    way: str = ""

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def name(self) -> str:
        return name_of(self.preset, self.way)

    @property
    def proven(self) -> str:
        """The `proven` of its preset; "" while a fault is missing."""
        whole = self.seen.keys() >= FAULTS.keys()
        return f"{self.system}, {self.package}: every fault of docs/services.md" if whole else ""

    def with_kept(self) -> "Facts":
        """These, and what an earlier run has seen of the same version on the same system: a run may look at some of the
        faults only."""
        kept = _read(self.file) if self.file.exists() else self  # others are just writing theirs
        if (kept.package, kept.system) != (self.package, self.system):
            return self
        return replace(self, seen={name: kept.seen[name] for name in FAULTS if name in kept.seen} | self.seen)

    def forget(self, fault: str) -> None:
        """This run looks at it anew: what was seen before counts no more."""
        assert fault in FAULTS
        self.seen.pop(fault, None)
        self._keep()

    def saw(self, fault: str, sentence: str) -> None:
        assert fault in FAULTS
        self.seen[fault] = sentence
        self._keep()

    def _keep(self) -> None:
        """Write the file, if this run is one that does."""
        if os.environ.get(WANTED):
            FOLDER.mkdir(exist_ok=True)
            ordered = replace(self, seen={name: self.seen[name] for name in FAULTS if name in self.seen})
            self.file.write_text(json.dumps(asdict(ordered), indent=2) + "\n", encoding="utf-8")


def all_facts() -> list[Facts]:
    """Those on file, by name."""
    return [_read(file) for file in sorted(FOLDER.glob("*.json"))]


def _read(file: Path) -> Facts:
    return Facts(**json.loads(file.read_text(encoding="utf-8")))


def told_words(number: int) -> str:
    """How often a service was told."""
    return {0: "not told", 1: "told once", 2: "told twice"}.get(number, f"told {number} times")
