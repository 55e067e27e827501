"""Installs at a FreeRADIUS, proven by a login that the agent begins there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.agent.host import AGENT, NAME, Done, Host, sha256
from tests.servers.freeradius import Freeradius


@pytest.fixture
def radius(host: Host) -> Iterator[Freeradius]:
    """A FreeRADIUS with an older certificate."""
    with Freeradius(host.authority.issue([NAME])) as server:
        yield server


# The agent, which waits for an answer for three seconds, not for ten
HASTY = f"""import functools, agent.host.sockets as sockets
sockets.Prober = functools.partial(sockets.Prober, one_look=3.0)
{AGENT}"""


def target(radius: Freeradius) -> str:
    return radius.target().replace("localhost", NAME)


def run(host: Host, radius: Freeradius, activate: Sequence[str], probe_timeout: str = "5s") -> Done:
    """One run with a new certificate, for the files that the preset has."""
    files = f"""[certificate.files]
fullchain = "{radius.files.fullchain}"
[[certificate.combined]]
path = "{radius.files.key}"
parts = ["key"]
"""
    probe = [target(radius)]
    host.configure(check=radius.check, activate=activate, probe=probe, files=files, probe_timeout=probe_timeout)
    return host.run(program=HASTY)


def content(radius: Freeradius) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in (radius.files.fullchain, radius.files.key)}


def test_a_restart_is_proven(host: Host, radius: Freeradius) -> None:
    """A supplicant of others gets the same, by each method, and the next run has nothing to do."""
    issued = host.offer_new()
    done = run(host, radius, radius.activate)
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert all(radius.chain_of(method)[0] == issued.certificate for method in ("peap", "ttls", "tls"))
    again = host.run()
    assert (again.code, again.certificate["changed"]) == (0, False), again.err


def test_a_reload_that_keeps_the_old_one_is_rolled_back(host: Host, radius: Freeradius) -> None:
    """SIGHUP ends well, and EAP shows the old certificate: it is wrong, and the old files are back."""
    before, old = content(radius), radius.served()
    host.offer_new()
    done = run(host, radius, radius.hang_up)
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.certificate
    assert "shows another certificate" in done.certificate["detail"]
    assert "rolled back, all is as it was" in done.certificate["detail"]
    assert content(radius) == before
    assert radius.served() == old


def test_one_that_answers_no_more_is_rolled_back(host: Host, radius: Freeradius) -> None:
    """A service that hangs now is waited for; then the old files come back, and it is told again."""
    before, old = content(radius), radius.served()
    host.offer_new()
    hang = 'if [ -e "$1" ]; then kill -CONT "$(cat "$0")"; else touch "$1"; kill -STOP "$(cat "$0")"; fi'
    done = run(host, radius, ["/bin/sh", "-c", hang, str(radius.folder / "pid"), str(host.folder / "mark")])
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.certificate
    assert "stays silent" in done.certificate["detail"]
    assert "rolled back, all is as it was" in done.certificate["detail"]
    assert content(radius) == before
    assert radius.served() == old


def test_another_secret_proves_nothing(host: Host, radius: Freeradius) -> None:
    """The new certificate is in place and served; the sentence says why that is not proven."""
    radius.secret_file.write_text("another\n", encoding="ascii")
    issued = host.offer_new()
    done = run(host, radius, radius.activate, probe_timeout="1s")
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.certificate
    assert "has another secret" in done.certificate["detail"]
    assert "another\n" not in done.out + done.err
    radius.wait_until(lambda: radius.served() == issued.certificate, "the new one is served")


def test_probe_shows_it(host: Host, radius: Freeradius) -> None:
    """By the command: names, chain, version, and the protocol."""
    done = host.agent("probe", "--json", target(radius))
    assert done.code == 0, done.out
    (one,) = done.json["targets"]
    assert (one["protocol"], one["tls"], one["host_covered"]) == ("radius", "TLSv1.2", True)
    assert (one["sha256"], len(one["chain"])) == (sha256(radius.served()), 1)
    told = host.agent("probe", f"radius://{NAME}")
    assert (told.code, "secret_file=/PATH" in told.err) == (2, True), told.err


def test_a_target_that_cannot_be_meant_is_a_finding(host: Host) -> None:
    """In agent.toml, with its place; a secret is not repeated."""
    host.configure(probe=["radius://localhost?secret=testing123"])
    done = host.agent("status")
    assert done.code == 2
    assert "probe" in done.err
    assert "write the secret into a file of its own" in done.err
    assert "testing123" not in done.err
