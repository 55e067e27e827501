"""The operator's commands on another host: each in a shell of its own that ends it after its time, also where the
connection is gone by then."""

import shlex
import sys
import time
from collections.abc import Iterable

from agent.host.programs import LISTENING, LONGEST_END, LONGEST_OUTPUT, MOST_LOGS
from agent.model.certificate import Command
from agent.model.errors import InstallError
from agent.remote.session import Session
from agent.remote.shell import ADMINISTRATORS
from agent.rules.output import shown, with_tail
from common.dataclasses import dataclass

# sshd gives each command a process group, whose leader this shell is; where it does not, the shell alone is ended
_SCRIPT = (
    ADMINISTRATORS
    + """
(sleep {seconds} & s=$!; trap 'kill $s' TERM; wait $s && {{ kill -9 -$$ || kill -9 $$; }}) </dev/null >/dev/null 2>&1 &
w=$!
{command} </dev/null 2>&1
c=$?
kill $w
exit $c"""
)


# The owner of a log may exchange it for a link at any moment: what was opened is compared with what stands there
_ENDS = """
ls -td -- {pattern} 2>/dev/null | head -n {files} | while IFS= read -r log; do
    [ -f "$log" ] && [ ! -L "$log" ] && {{
        [ "$(stat -c %d:%i -- "$log")" = "$(stat -L -c %d:%i /dev/fd/3)" ] && tail -c {most} <&3
    }} 3<"$log"
    echo
done 2>/dev/null"""


@dataclass(frozen=True, slots=True)
class RemotePrograms:
    """The Programs of ``agent.journey.ports``; each command gets at most *timeout* seconds."""

    timeout: int
    session: Session

    def run(self, step: str, commands: Iterable[Command]) -> None:
        for command in commands:
            self._run(step, command)

    def lines(self, command: Command) -> list[str]:
        """The last lines that the *command* prints; none if it fails, or takes long. Raises
        HostLost."""
        try:
            return self._run("listen", command, LISTENING).decode("utf-8", "replace").splitlines()
        except InstallError:
            return []

    def ends_of(self, log: str) -> list[str]:
        """The last lines of the files that fit *log*; none of what is no regular file, or a link. Raises HostLost."""
        most = LONGEST_END if "*" in log else LONGEST_OUTPUT
        pattern = "*".join(shlex.quote(part) if part else "" for part in log.split("*"))
        return self.lines(("sh", "-c", _ENDS.format(pattern=pattern, files=MOST_LOGS, most=most)))

    def _run(self, step: str, command: Command, limit: int = sys.maxsize) -> bytes:
        """Its output. It gets *limit* seconds if that is less than the timeout."""
        timeout = min(limit, self.timeout)
        told = f"{shown(step, command)} on {self.session.name}"
        begin = time.monotonic()
        ended = self.session.execute(_SCRIPT.format(seconds=timeout, command=shlex.join(command)), timeout)
        if ended.code == -1 and time.monotonic() - begin >= timeout:
            why = with_tail(f"it had not ended after {timeout} s", ended.out)
            raise InstallError(step, f"{told} was ended", why=why)
        if ended.code != 0:
            ending = f"exit code {ended.code}" if ended.code > 0 else "ended by a signal"
            raise InstallError(step, f"{told} failed", why=with_tail(ending, ended.out))
        return ended.out
