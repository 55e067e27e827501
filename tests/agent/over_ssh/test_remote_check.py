"""`check` looks at hosts without an agent as a run does: side by side, and at what is stopped there."""

from tests.agent.host import NAME, Host
from tests.agent.over_ssh.test_remote_faults import quick
from tests.agent.remote import RemoteSite
from tests.servers.nginx import Nginx
from tests.servers.silent import Silent
from tests.servers.stopwatch import Stopwatch

HOSTS = 12


def test_hosts_that_are_silent(host: Host, site: RemoteSite, nginx: Nginx) -> None:
    """A dozen cost one time limit, which is a second here, and a line is told of each; another is looked at."""
    with Silent() as silent:
        site.pin(site.sshd.host_key_line(), site.sshd.host_key_line().replace(f":{site.port} ", f":{silent.port} "))
        probe = f'probe = ["https://127.0.0.1:{silent.port}"]'
        for number in range(HOSTS):
            at = site.settings.replace(site.url, f"ssh://user{number}@127.0.0.1:{silent.port}")
            entry = f'[[certificate]]\nname = "n{number}.example.test"\nkey = "/key"\n{probe}\n{at}'
            host.config.write_text(f'{host.config.read_text()}{entry}[certificate.files]\nfullchain = "/full"\n')
        watch = Stopwatch()
        done = host.agent("check", "--json", program=quick())
        assert watch.seconds() < HOSTS / 2
        assert silent.calls == HOSTS
    bad = [one for one in done.json["findings"] if one["level"] == "bad" and "the source" not in one["finding"]]
    assert [one["subject"] for one in bad] == [f"n{number}.example.test" for number in range(HOSTS)]
    assert any(one["subject"] == NAME and "its key is in" in one["finding"] for one in done.json["findings"])


def test_a_service_that_is_stopped_there(host: Host, site: RemoteSite, nginx: Nginx, first: bytes) -> None:
    """The words of its check are told; a host that is down by then is no fault of `check` itself."""
    probe = [f"https://127.0.0.1:{nginx.port}"]
    site.configure(check=["sh", "-c", "echo amiss; exit 3"], activate=nginx.activate, probe=probe)
    line = "does not run, and its check fails: "
    assert line not in host.agent("check").out
    nginx.stop()
    out = host.agent("check").out
    assert line in out, out
    assert "it said: amiss" in out
    site.sshd.stop()
    out = host.agent("check").out
    assert line not in out
    assert f"[127.0.0.1]:{site.port} cannot be reached" in out
