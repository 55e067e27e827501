"""A clock that was wrong, a name that resolves no more, a host without IPv6, a disk without room: the whole way."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.agent.host import AGENT, Host, agent_ahead
from tests.servers.nginx import Nginx
from tests.servers.process import wait_until

YEARS = 3 * 365 * 86_400
NAMED = "w.example.test"


def resolving(found: str) -> str:
    """The agent, for whose name the lines *found* decide what the resolver says of it."""
    return f"""import os, socket, time
real = socket.getaddrinfo
def resolved(host, port, *more, **others):
    if host != {NAMED!r}:
        return real(host, port, *more, **others)
{found}
socket.getaddrinfo = resolved
{AGENT}"""


def gone_since(reload: Path, seconds: float) -> str:
    """It has no address for so many *seconds* after the *reload* has left that file."""
    return resolving(
        f"    if os.path.exists({str(reload)!r}) and time.time() - os.stat({str(reload)!r}).st_mtime < {seconds}:\n"
        "        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')\n"
        "    return real('127.0.0.1', port, *more, **others)"
    )


@pytest.mark.parametrize("seconds", [YEARS, -YEARS])
def test_a_clock_that_was_years_away(host: Host, nginx: Nginx, seconds: int) -> None:
    """What was refused as expired by that clock, or not valid yet, is installed when the clock is right; the hint names
    the clock."""
    new = host.offer_new()
    wrong = host.run(program=agent_ahead(seconds))
    assert (wrong.code, wrong.certificate["state"]) == (1, "refused"), wrong.err
    assert f"if it is {datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m}" in wrong.certificate["hint"]
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == new.certificate


@pytest.mark.parametrize(("seconds", "state"), [(1.5, "installed"), (3600, "broken")])
def test_a_name_that_resolves_no_more_after_the_reload(host: Host, nginx: Nginx, seconds: float, state: str) -> None:
    """It is waited for; where it does not come back, the files do."""
    reload, old = host.folder / "reload", host.fullchain.read_bytes()
    activate = ["sh", "-c", f'touch {reload}; exec "$@"', "sh", *nginx.activate]
    host.configure(check=nginx.check, activate=activate, probe=[f"https://{NAMED}:{nginx.port}"], probe_timeout="3s")
    new = host.offer_new()
    done = host.run(program=gone_since(reload, seconds))
    assert done.certificate["state"] == state, done.err
    assert (nginx.served() == new.certificate) is (state == "installed")
    assert (host.fullchain.read_bytes() == old) is (state == "broken")


def test_a_name_with_an_address_of_ipv6_on_a_host_without(host: Host, nginx: Nginx) -> None:
    """The address that has no route from here does not hold back what the other one proves."""
    host.configure(check=nginx.check, activate=nginx.activate, probe=[f"https://{NAMED}:{nginx.port}"])
    new = host.offer_new()
    both = resolving(
        "    v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, '', ('2001:db8::1', port, 0, 0))\n"
        "    return [v6, *real('127.0.0.1', port, *more, **others)]"
    )
    done = host.run(program=both)
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == new.certificate


def test_check_sees_a_service_that_serves_another_one(host: Host, nginx: Nginx) -> None:
    """The files are right, the service has not read them: exit code 1, and what it shows in place of it."""
    host.offer_new()
    assert host.run().code == 0
    good = host.fullchain.read_bytes()
    host.fullchain.write_bytes(host.self_signed())
    installed = nginx.served()
    subprocess.run(nginx.activate, check=True)
    # old workers take connections beside the new ones for a moment
    wait_until(lambda: all(nginx.served() != installed for _ in range(10)), "nginx serves the other one alone")
    host.fullchain.write_bytes(good)
    done = host.agent("check")
    assert done.code == 1
    assert "shows another certificate" in done.out


def test_check_sees_a_disk_without_room(host: Host, nginx: Nginx) -> None:
    """Before an install meets it."""
    host.offer_new()
    assert host.run().code == 0
    was = host.folder / "live.was"
    fill = (
        f"cp -a {host.live} {was}; mount -t tmpfs -o size=64k tmpfs {host.live}; cp -a {was}/. {host.live};"
        f' cat /dev/zero >{host.live}/.fill 2>/dev/null; exec "$@"'
    )
    done = host.agent("check", wrap=["unshare", "--mount", "sh", "-c", fill, "sh"])
    assert done.code == 1
    assert f"{host.live} has 0 bytes left on its disk" in done.out


@pytest.mark.soak
@pytest.mark.parametrize("command", ["run", "check"])
def test_no_folder_takes_a_temporary(host: Host, nginx: Nginx, command: str) -> None:
    """Commands are run all the same, also the one that asks whether a stopped service would start."""
    host.offer_new()
    assert host.run().code == 0
    newer = host.offer_new()
    nginx.stop() if command == "check" else None
    parts = "".join(f"mount --bind {one} {one}; " for one in (host.folder, nginx.folder))
    closed = f'set -e; mount --bind /tmp /tmp; {parts}mount -o remount,bind,ro /tmp; cd /proc; exec "$@"'
    full = "mount -t tmpfs -o ro tmpfs /var/tmp; "
    done = host.agent(command, wrap=["unshare", "--mount", "sh", "-c", full + closed, "sh"])
    if command == "check":
        assert f"nothing answers at https://127.0.0.1:{nginx.port}" in done.out
        assert "a fault in certfleet" not in done.err
        return
    assert done.code == 0, done.err
    assert nginx.served() == newer.certificate
    assert host.leftovers() == []
