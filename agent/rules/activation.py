"""The commands by which a host makes one of its services read its files anew. Pure."""

from collections.abc import Sequence

from agent.model.certificate import ASK, Action, Command
from agent.model.presence import Presence

_SIGNAL = "SIG"
_TELLING = frozenset({"reload", "restart", "try-restart", "reload-or-restart", "try-reload-or-restart"})  # of systemctl
_LISTEN_AGAIN = 'if systemctl is-failed --quiet "$0"; then systemctl reset-failed "$0" && systemctl start "$0"; fi'

# Where a unit without a process of its own stands for others of its name, as postfix.service does for
# postfix@-.service, those are asked instead; without --all systemctl leaves out the stopped ones among them
_STATES = """states=$(systemctl is-active --all "$0@*")
[ "$states" ] && ! systemctl show --property=SubState "$0" | grep -qx SubState=running ||
    states=$(systemctl is-active "$0")"""
# One that systemd made of an init script is active (exited) when no process is left in it: systemd-sysv-generator(8)
_UNIT_IS_OVER = f"""{_STATES}
echo "$states" | grep -qvx -e inactive -e failed || exit 0
shown=$(systemctl show --property=SubState,SourcePath "$0")
echo "$shown" | grep -qx SubState=exited && echo "$shown" | grep -q '^SourcePath=/etc/init.d/'"""
# Tests with the credentials of the process that runs: its unit may have given it groups of its own. A process with
# CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH (the last digit of CapEff) reads all. Where nobody can find out, exit code 0
_MAY_READ = r"""pid=$(pgrep -o -u "$0" ${1:+-x "$1"}) || exit 0
while read -r name first second more; do
    case $name in
        Gid:) gid=$second ;;
        Groups:) groups=$(echo $first $second $more | tr ' ' ,) ;;
        CapEff:) case $first in *[!0189]) exit 0 ;; esac ;;
    esac
done <"/proc/$pid/status" || exit 0
as="setpriv --regid=$gid --groups=${groups:-$gid} --reuid=$0"
$as true || exit 0
$as test -r "$2"
"""
# Jobs of the unit, or of units for which it stands. A job that waits for its turn, perhaps for us, has read no file yet
_NO_JOBS = (
    """while systemctl list-jobs --no-legend "$0" "$0.service" "$0@*" | grep -q ' running *$'; do sleep 0.2; done"""
)
# Without --since a journal of gigabytes is searched to its beginning for the lines of one unit. With it, and without
# --reverse, journalctl of systemd 252 prints the first lines since then, not the last
_LAST_LINES = '"$0" --since=-1h --reverse --lines=1000 "$@" | tac'
# A unit that dies by itself has no job of type stop, and the "Stopped" of a restart belongs to a job of type restart
_LAST_JOB_STOPPED = f"""{_STATES}
echo "$states" | grep -qx -e active -e reloading && exit 1
journalctl --sync
set -- JOB_RESULT=done JOB_RESULT=failed JOB_RESULT=timeout JOB_RESULT=dependency
for unit in "$0.service" $(systemctl list-units --all --plain --no-legend "$0@*" | cut -d" " -f1); do
    last=$(journalctl --quiet --since=-1h --reverse --lines=1 --output=export "$@" "UNIT=$unit")
    echo "$last" | grep -qx JOB_TYPE=stop && exit 0
done
exit 1"""
_NO_PROCESS = 'grep -sqxE "$0" /proc/[0-9]*/comm; [ $? -eq 1 ]'  # grep says 2 where a process ended meanwhile


def activating(
    action: Action, presence: Presence, units: Sequence[str], own: tuple[Command, ...]
) -> tuple[Command, ...]:
    """The *action* as commands: by systemd where the service is one of its units, else by its init script, else the
    daemon's *own* ones. Never past systemd: what a command of ours starts lives in the agent's unit, and ends with it.

    Without any of them the command is one that fails and names the first of *units*.
    """
    if action == ASK:
        return ()
    if presence.unit:
        if action.startswith(_SIGNAL):
            return (("systemctl", "kill", "--kill-who=main", f"--signal={action}", presence.unit),)
        return (("systemctl", action, presence.unit),)
    if presence.script and not action.startswith(_SIGNAL):
        return (("service", presence.script, action),)
    return own or tuple(("service", unit, action) for unit in units[:1])


def is_restart(commands: Sequence[Command]) -> bool:
    """Do the *commands* end the service before they start it?"""
    return any("restart" in words for words in commands)


def is_too_often(failure: str) -> bool:
    """Did systemctl fail because systemd starts the unit no more for a while (systemd.unit(5), StartLimitBurst=)? A
    restart has stopped it all the same."""
    return "attempted too often" in failure


def unit_told(activate: Action | tuple[Command, ...] | None) -> str:
    """The unit that commands of agent.toml reload or restart by systemctl, without `.service`; "" unless it is one."""
    commands = activate if isinstance(activate, tuple) else ()
    told = {words[2] for words in commands if len(words) == 3 and words[0] == "systemctl" and words[1] in _TELLING}
    return told.pop().removesuffix(".service") if len(told) == 1 else ""


def starting(presence: Presence, own: tuple[Command, ...]) -> tuple[Command, ...]:
    """The commands that bring the service up."""
    if presence.unit:
        return (("systemctl", "start", presence.unit),)
    return (("service", presence.script, "start"),) if presence.script else own


def restarting(presence: Presence, own: tuple[Command, ...]) -> tuple[Command, ...]:
    """The commands that bring the service up when nothing of it answers. `start` may do nothing: to systemd a unit that
    stands for others, or for an init script, is up while its processes are gone. And systemd refuses to start a unit
    that has failed too often of late (systemd.unit(5), StartLimitBurst=) until it is told to forget that. A socket unit
    whose service failed too often listens no more (systemd.socket(5), TriggerLimitBurst=) until it is started again;
    one that nobody uses has not failed, and stays as it is."""
    forget = (("systemctl", "reset-failed", presence.unit),) if presence.unit else ()
    listen = (("sh", "-c", _LISTEN_AGAIN, f"{presence.unit}.socket"),) if presence.has_socket else ()
    return (*forget, *listen, *activating("restart", presence, (), own))


def asking(presence: Presence) -> tuple[Command, ...]:
    """A command that fails where the service does not run; none where nobody can be asked. Init scripts answer
    `status` as the LSB says (Core 5.0, §22.2)."""
    if presence.unit:
        return (("systemctl", "is-active", "--quiet", presence.unit),)
    return (("service", presence.script, "status"),) if presence.script else ()


def awaiting(presence: Presence) -> tuple[Command, ...]:
    """A command that ends when systemd has no job under way for the unit. Where a unit is just starting, systemd takes
    a reload for done by that start, although the service may have read its files before."""
    return (("sh", "-c", _NO_JOBS, presence.unit),) if presence.unit else ()


def asking_who_stopped(presence: Presence) -> tuple[Command, ...]:
    """A command that fails unless somebody has stopped the unit, which an install never does."""
    return (("sh", "-c", _LAST_JOB_STOPPED, presence.unit),) if presence.unit else ()


def listening(presence: Presence) -> tuple[Command, ...]:
    """The commands that print the last lines in the journal of its unit, and of those for which that stands, as
    postfix.service does for postfix@-.service."""
    journal = ("sh", "-c", _LAST_LINES, "journalctl", "--quiet", "--no-pager", "--output=short-precise")
    return ((*journal, f"--unit={presence.unit}", f"--unit={presence.unit}@*"),) if presence.unit else ()


def asking_for_its_end(
    action: Action | tuple[Command, ...], presence: Presence, processes: Sequence[str]
) -> tuple[Command, ...]:
    """A command that fails unless the service has ended for good. systemd knows that of its units: one that waits for
    Restart= is "activating" (systemd.service(5)). Elsewhere a service has ended if none of its *processes* is left
    after a reload. There is no command for a restart: nobody knows how long that may leave no process."""
    if presence.unit:
        return (("sh", "-c", _UNIT_IS_OVER, presence.unit),)
    return (("sh", "-c", _NO_PROCESS, "|".join(processes)),) if processes and action == "reload" else ()


def reading(user: str, processes: Sequence[str]) -> Command:
    """A command that fails where the service runs as *user* and may not read the file that is appended to it; () for
    one that reads as root. Where a service has no *processes* with a name of their own, as with Java, any process of
    that user is looked at."""
    return () if user in {"", "root"} else ("sh", "-c", _MAY_READ, user, "|".join(processes))
