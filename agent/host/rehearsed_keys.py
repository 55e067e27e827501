"""Keys for a rehearsal: one that a run would close first is loaded as if it were closed."""

from collections.abc import Mapping
from pathlib import Path

from agent.host import keys
from agent.model.host_key import HostKey
from agent.model.live_file import LiveFile


class RehearsedKeys:
    """The Keys of ``agent.journey.ports`` on this machine. *would_be*: the files that a run would have written by
    now."""

    is_there = staticmethod(keys.is_there)
    create = staticmethod(keys.create)
    csr_of = staticmethod(keys.csr_of)
    self_signed = staticmethod(keys.self_signed)
    csr_facts = staticmethod(keys.csr_facts)
    keystore = staticmethod(keys.keystore)
    stored = staticmethod(keys.stored)

    def __init__(self, would_be: Mapping[Path, LiveFile]):
        self._would_be = would_be

    def load(self, file: Path) -> HostKey:
        closed = self._would_be.get(file)
        return keys.load(file) if closed is None else keys.key_in(closed.content, file)
