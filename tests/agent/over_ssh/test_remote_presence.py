"""How the services of a host without an agent are run, asked over a real sshd."""

import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from agent.host.presence import presence
from agent.host.waits import Waits
from agent.model.errors import HostLost
from agent.remote.presence import finders
from agent.remote.session import Session, reach
from agent.settings.preset import Presets
from tests.agent.host import NAME, Host
from tests.agent.over_ssh.test_remote_faults import quick, session_with
from tests.agent.over_ssh.test_remote_install import BOTH
from tests.agent.remote import RemoteSite, is_as_before, own_preset
from tests.agent.test_install_killed import die
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd


@pytest.fixture
def session(site: RemoteSite) -> Iterator[Session]:
    with closing(session_with(site)) as opened:
        yield opened


@BOTH
def test_a_service_is_found_as_an_agent_there_finds_it(session: Session, tmp_path: Path) -> None:
    """Each of the presets. The host behind the sshd is this machine."""
    known = Presets(tmp_path / "agent.toml")
    presets = [preset for name in known.names if (preset := known.load(name)) is not None]
    reach([session], Waits())
    (find,) = finders({session: [(preset.units, preset.programs) for preset in presets]}, Waits())
    found = [find(preset.units, preset.programs) for preset in presets]
    session.execute("true")  # it was not given up
    assert found == [presence(preset.units, preset.programs) for preset in presets]
    assert any(one.program for one in found)


@BOTH
def test_the_kinds_of_places(session: Session, tmp_path: Path) -> None:
    """A file without content is none, as systemd has it: it masks a unit."""
    (tmp_path / "empty").touch()
    (tmp_path / "file").write_text("x")
    places = [str(tmp_path), f"{tmp_path}/file", f"{tmp_path}/empty", f"{tmp_path}/none", "/dev/null", "/bin/sh", "sh"]
    found = session.files(lambda access: access.kinds(places))
    assert found == ["folder", "file", "other", "", "other", "program", "program"]


@pytest.mark.parametrize("always", [False, True])
def test_a_connection_that_breaks_meanwhile(host: Host, tmp_path: Path, always: bool) -> None:
    """The host is asked once more, on a new one."""
    cut, killed = tmp_path / "cut", "" if always else f"[ -e {tmp_path}/cut ] || "
    script = f"case $SSH_ORIGINAL_COMMAND in *command*) {killed}{{ touch {cut}; kill -9 $PPID; }};; esac; "
    with (
        Sshd(tmp_path / "sshd", force=f'{script}eval "$SSH_ORIGINAL_COMMAND"') as sshd,
        closing(session_with(RemoteSite(host, sshd, tmp_path))) as session,
    ):
        reach([session], Waits())
        (find,) = finders({session: [((), ("sh",))]}, Waits())
        assert cut.exists()
        assert sshd.logins() == 2
        if always:
            with pytest.raises(HostLost, match="does not tell how it runs its services"):
                session.execute("true")
        else:
            assert find((), ("sh",)).program == "sh"
            assert session.execute("true").code == 0


@pytest.mark.soak
def test_an_interrupted_install_is_settled_by_commands_that_fit(
    host: Host, site: RemoteSite, nginx: Nginx, first: bytes
) -> None:
    """Also in a run for another certificate, of this machine: the host of the first one is asked then."""
    told, near = host.folder / "told", "near.example.test"
    own = ["{program}", "-c", f"echo >> {told}; {shlex.join(nginx.activate)}"]
    files = own_preset(host, own)
    site.configure(probe=[f"https://127.0.0.1:{nginx.port}"], files=files)
    written = "".join(
        line for line in host.config.read_text().splitlines(keepends=True) if not line.startswith("activate")
    )
    entry = f'[[certificate]]\nname = "{near}"\nkey = "{host.key}"\nprobe = []\n'
    host.config.write_text(f'{written}{entry}[certificate.files]\nfullchain = "{host.live}/near.pem"\n')
    die(host, ("agent.journey.install", "activate", 1, "before"))
    assert not told.exists()
    host.run(near)
    assert told.read_text() == "\n"
    assert is_as_before(host, nginx, first)
    assert {one["state"] for one in host.run().json["certificates"]} == {"installed", "not-enrolled"}
    assert told.read_text() == "\n\n"


def test_hosts_that_do_not_tell_hold_up_no_other(host: Host, site: RemoteSite, nginx: Nginx, tmp_path: Path) -> None:
    """Two whose shells hang cost the time limit of one question, and are `unreachable`; one that is well goes on."""
    limit, entries = 4, ""
    files = f'service = "nginx"\n[certificate.files]\nfullchain = "{host.fullchain}"'
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=nginx.check, activate=nginx.activate, probe=probe, files=files)
    issued = host.offer_new()
    with ExitStack() as hosts:
        hung = [hosts.enter_context(Sshd(tmp_path / name, force="exec sleep 40")) for name in ("a", "b")]
        site.pin(*(one.host_key_line() for one in (*hung, site.sshd)))
        for number, one in enumerate(hung):
            host.offer(issued.cert_pem, issued.chain_pem, name=f"hung{number}.example.test")
            entries += (
                f'[[certificate]]\nname = "hung{number}.example.test"\nkey = "/k"\nservice = "nginx"\n'
                f'host = "ssh://{one.user}@127.0.0.1:{one.port}"\nssh_key_file = "{one.key}"\n'
                f'ssh_host_keys = "{site.pins}"\n[certificate.files]\nfullchain = "/c"\n'
            )
        host.config.write_text(host.config.read_text().replace("[[certificate]]", f"{entries}[[certificate]]"))
        began = time.monotonic()
        done = host.run(program=quick(answer=20, action=limit))
        assert time.monotonic() - began < 3 * limit
    states = {one["name"]: one["state"] for one in done.json["certificates"]}
    assert states == {"hung0.example.test": "unreachable", "hung1.example.test": "unreachable", NAME: "installed"}
    assert done.err.count("127.0.0.1 does not tell how it runs its services: no answer within 4 s") == 1, done.err
