"""`check` finds what would keep the next install from its end, and touches nothing."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.host.capacity import shortage
from tests.agent.accounts import Agents, source_lines
from tests.agent.host import NAME, ROOT, Host, agent_ahead
from tests.agent.test_run_dry import traces
from tests.servers.nginx import Nginx


def bad(host: Host) -> list[str]:
    """What `check` finds wrong; it leaves no trace."""
    before = traces(host.folder)
    done = host.agent("check", "--json")
    assert traces(host.folder) == before
    found = [line["finding"] for line in done.json["findings"] if line["level"] == "bad"]
    assert done.code == (1 if found else 0), done.out
    return found


@pytest.fixture
def installed(host: Host, nginx: Nginx) -> Host:
    host.offer_new()
    assert host.run().code == 0
    return host


def test_all_is_well(installed: Host) -> None:
    assert bad(installed) == []
    out = installed.agent("check").out
    assert "its sockets show what was installed, serial" in out
    assert "its files hold what was installed" in out
    assert installed.agent("-q", "check").out == ""


def test_with_q_cron_mails_what_is_bad_alone(installed: Host) -> None:
    installed.key.chmod(0o644)
    told = installed.agent("check").out.splitlines()
    assert installed.agent("-q", "check").out.splitlines() == [line for line in told if line.startswith("bad")] != []


def test_before_the_first_run(host: Host, nginx: Nginx) -> None:
    """No state folder is made."""
    host.offer_new()
    assert bad(host) == []
    assert not host.state_dir.exists()


def test_a_socket_that_shows_another_name(host: Host, tmp_path: Path) -> None:
    """Before the first install and after it, its name is said; so it is where an install fails for it, with the file
    that the service must name."""
    names = [f"{letter}.example.test" for letter in "abcde"]
    files = host.root.issue(names).write(tmp_path / "other")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key, name=NAME) as nginx:
        socket = f"https://127.0.0.1:{nginx.port}"
        host.configure(check=nginx.check, activate=nginx.activate, probe=[socket], probe_timeout="1s")
        host.offer_new()
        said = "for a.example.test, b.example.test, c.example.test and 2 more"
        out = host.agent("check").out
        assert f"{socket} (127.0.0.1:{nginx.port}) shows a certificate {said}" in out
        assert f"let the service's configuration name {host.fullchain}" in out
        assert "its sockets answer" not in out
        failed = host.run().certificate
        assert f"the one at {socket} is {said}" in failed["detail"]
        assert f"see that the service's configuration names {host.fullchain}" in failed["hint"]
        host.configure(activate=["true"])
        assert host.run().certificate["state"] == "unprovable"
        assert "name one in `probe`; `certfleet-agent presets SERVICE` tells" in host.agent("check").out
        host.configure(check=nginx.check, activate=nginx.activate, probe=[socket])
        assert f"the one at {socket} is {said}" in host.agent("check").out


def test_a_socket_elsewhere(host: Host, nginx: Nginx) -> None:
    """Where nothing listens, or what has no address, is said with the way to name another socket; `run` says so too."""
    elsewhere = f"https://127.0.0.2:{nginx.port}"
    host.configure(check=nginx.check, activate=nginx.activate, probe=[elsewhere, "https://nowhere.invalid"])
    host.offer_new()
    down, unknown = sorted(line for line in host.agent("check").out.splitlines() if "shows no certificate" in line)
    listens = "say in `probe` if it listens elsewhere (?connect=127.0.0.1), wants a balancer's header (?proxy=v2)"
    assert f"let the service's configuration name {host.fullchain}, and leave the reload to `run`" in down
    assert listens in down
    assert "name a socket that this host can reach in `probe`" in unknown
    host.configure(check=nginx.check, activate=nginx.activate, probe=[elsewhere])
    done = host.run().certificate
    assert done["state"] == "unproven"
    assert listens in done["hint"]


def test_a_failed_install_is_not_forgotten(host: Host, nginx: Nginx) -> None:
    """The service did not name the file. Once that is mended a run leaves it as it is, and says that; so does `check`,
    as long as that lasts."""
    socket = f"https://127.0.0.1:{nginx.port}"
    host.configure(check=nginx.check, activate=["true"], probe=[socket], probe_timeout="1s")
    host.offer_new()
    first = host.agent("run")
    assert "shows another certificate" in first.err
    assert "\n  it is tried again when" in first.err
    assert "\n  this run did not try it: it is tried again when" in host.agent("run").err
    out = host.agent("check").out
    assert f"warn {NAME}: the certificate offered is not tried before " in out
    assert "`certfleet-agent run --retry` tries it at once" in out
    assert "the certificate offered fits this host" not in out
    host.configure(check=nginx.check, activate=nginx.activate, probe=[socket])
    assert "the certificate offered fits this host" in host.agent("check").out


def configured_anew(host: Host, old: str, new: str) -> None:
    text = host.config.read_text()
    assert old in text
    host.config.write_text(text.replace(old, new))


FAULTS: dict[str, tuple[Callable[[Host], object], str]] = {
    "key open": (lambda host: host.key.chmod(0o644), "key.pem"),
    "no key": (lambda host: host.key.unlink(), "key.pem"),
    "changed file": (lambda host: host.fullchain.write_bytes(host.self_signed()), "is not what was installed"),
    "no file": (lambda host: host.fullchain.unlink(), "was installed, and is gone"),
    "no program": (lambda host: configured_anew(host, "check = [", 'check = ["nginxx", '), "cannot run `nginxx"),
    "no folder": (lambda host: configured_anew(host, "live/full", "gone/full"), "gone does not exist"),
    "no owner": (lambda host: configured_anew(host, "[certificate.files]", '[certificate.files]\nowner = "nobodyx"'),
                 "there is no user 'nobodyx'"),
    "no source": (lambda host: host.database.rename(host.database.with_suffix(".away")), "there is no database"),
}  # fmt: skip


@pytest.mark.soak
def test_the_certificate_in_place(host: Host, nginx: Nginx) -> None:
    """Before the first install its faults are no more than warnings; then they count: here its end is near, and later
    its CA is not known to the system's store."""

    def found() -> dict[str, str]:
        lines = host.agent("check", "--json").json["findings"]
        return {line["name"]: line["level"] for line in lines if line["name"]}

    assert found() == {"self-signed": "warn", "no-names": "warn"}
    ending = host.sign(1, not_before=datetime.now(UTC) - timedelta(hours=22))
    host.offer(ending.cert_pem, ending.chain_pem)
    host.run()
    assert found() == {"expires-soon": "bad"}
    host.offer_new()
    host.run()
    assert found() == {}
    configured_anew(host, f'roots = "{host.roots}"', 'roots = "system"')
    assert found() == {"root-unknown": "bad"}


@pytest.mark.sampled
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault(installed: Host, fault: str) -> None:
    """Each is named, and nothing else but what the service says of it."""
    make, says = FAULTS[fault]
    make(installed)
    found = [one for one in bad(installed) if fault != "no key" or "fails today" not in one]
    assert len(found) == 1, found
    assert says in found[0]


def test_another_file_than_last_time(installed: Host) -> None:
    """agent.toml names a file that no install has written yet: nobody has changed it."""
    configured_anew(installed, "live/full", "live/new")
    found = installed.agent("check").out
    assert "live/newchain.pem is no file of the last install; the next run writes it" in found
    assert "who changed it" not in found


def test_the_service_shows_something_else(installed: Host, nginx: Nginx) -> None:
    nginx.stop()
    (found,) = bad(installed)
    assert "nothing answers at" in found


def test_the_line_of_a_plugin(host: Host, nginx: Nginx) -> None:
    """Its exit codes are others than ours: 1 warning, 2 critical, 3 unknown."""
    host.offer_new()
    before = host.agent("check", "--nagios")
    assert before.code == 1, before.out
    assert before.out.startswith("CHECK WARNING - ")
    host.run()
    nginx.stop()
    down = host.agent("check", "--nagios")
    assert down.code == 2
    assert down.out.startswith(f"CHECK CRITICAL - {host.name}: serial ")
    assert " | 'bad'=1 'warn'=1" in down.out
    host.config.write_text("x")
    unread = host.agent("check", "--nagios")
    assert unread.code == 3
    assert unread.out.startswith("CHECK UNKNOWN - ")


@pytest.mark.parametrize(
    ("mount", "says"),
    [("-t tmpfs -o size=64k", "has 65536 bytes left on its disk"), ("-t ramfs", ""), ("-t tmpfs -o size=0", "")],
)
def test_no_room(tmp_path: Path, mount: str, says: str) -> None:
    """A file system that is full; one in memory without a size is not."""
    asked = "from agent.host.capacity import shortage; from pathlib import Path; import sys; "
    asked += "print(shortage(Path(sys.argv[1])))"
    script = f'mount {mount} none "$0"; exec "$1" -c "$2" "$0"'
    command = ["unshare", "--mount", "sh", "-ec", script, str(tmp_path), sys.executable, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == says
    assert shortage(Path("/tmp")) == ""


def test_a_clock_that_is_wrong(host: Host, nginx: Nginx, agents: Agents) -> None:
    """An hour ahead of the database server's."""
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, source=source_lines(agents.settings()))
    issued = host.sign()
    agents.enrol(host.name, issued.cert_pem, issued.chain_pem)
    assert "it goes with that of the database server" in host.agent("check").out
    done = host.agent("check", program=agent_ahead(3600))
    assert done.code == 1
    assert "the clock is 60m ahead of that of the database server" in done.out
