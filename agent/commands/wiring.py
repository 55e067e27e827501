"""The real adapters, put together, and the words of a command line as the journeys take them."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from agent.host.files import LocalFiles
from agent.host.read_only import ReadOnlyFiles, ReadOnlyState
from agent.host.state_folder import StateFolder
from agent.host.waits import Waits
from agent.journey.ports import Files, Keys, Messages, Programs, Sockets, Source, StateStore, Trust
from agent.model.certificate import Certificate
from agent.settings.config import AgentSettings
from agent.source.open import open_source, own_files
from common.errors import ConfigError, Finding, UsageError
from common.names import parse_name


class LocalTools:
    """The Tools of ``agent.journey.ports`` for this machine. *certificates* are all that *config* asks for.

    Nothing is connected yet. *read_only*: state folder and live files are read and never written. Raises ConfigError
    for a source or a password file that is not as it must be.
    """

    def __init__(
        self,
        settings: AgentSettings,
        certificates: Sequence[Certificate],
        config: Path,
        *,
        retry: bool,
        read_only: bool = False,
    ):
        inputs = {file for certificate in certificates for file in certificate.inputs}
        protected = [settings.state_dir, config, *inputs, *own_files(settings.source)]
        if sys.prefix != sys.base_prefix:  # a virtual environment: what root runs
            protected.append(Path(sys.prefix))
        self._settings = settings
        self.waits = Waits()
        self.source: Source = open_source(settings.source, config, self.waits)
        self.folder = (ReadOnlyState if read_only else StateFolder)(settings.state_dir)
        self.state: StateStore = self.folder
        self.files: Files = (ReadOnlyFiles if read_only else LocalFiles)()
        self.protected: Sequence[Path] = [Path(os.path.realpath(one)) for one in protected]
        self.host, self.now, self.retry = os.uname().nodename, time.time(), retry
        self.keep = settings.keep

    def unbroken(self) -> AbstractContextManager[None]:
        return self.waits.unbroken()

    @property
    def keys(self) -> Keys:
        from agent.host import keys  # noqa: PLC0415 - cryptography costs 0.1 s, and a run without news has no use for it

        return keys

    @property
    def trust(self) -> Trust:
        from agent.host import trust  # noqa: PLC0415 - ssl and cryptography, for a new certificate only

        return trust

    @property
    def programs(self) -> Programs:
        from agent.host.programs import LocalPrograms  # noqa: PLC0415 - subprocess, for an install only

        return LocalPrograms(self._settings.command_timeout, self.waits)

    @property
    def messages(self) -> Messages:
        from agent.host.messages import LocalMessages  # noqa: PLC0415 - mail and subprocess, where there is news

        return LocalMessages(self._settings, self.host, self.waits)

    @property
    def sockets(self) -> Sockets:
        from agent.host.sockets import Prober  # noqa: PLC0415 - ssl, for certificates with a probe

        return Prober(self._settings.probe_timeout, self.waits)


def name_in(text: str) -> str:
    """The DNS name or IP address in *text*; UsageError if it is none."""
    try:
        return parse_name(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def selected_of(names: Sequence[str], certificates: Sequence[Certificate], config: Path) -> list[Certificate]:
    """Those of the *certificates* that the *names* of a command line mean, all for none. Raises UsageError, ConfigError
    where none is configured."""
    if not certificates:
        finding = Finding("certificate", "none is configured")
        raise ConfigError(str(config), [finding], hint="add a [[certificate]]")
    by_name = {one.name: one for one in certificates}
    wanted = [name_in(name) for name in names] or list(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        hint = f"configured are: {', '.join(by_name)}"
        raise UsageError(f"not configured in {config}: {', '.join(unknown)}", hint=hint)
    return [by_name[name] for name in dict.fromkeys(wanted)]
