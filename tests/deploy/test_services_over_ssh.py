"""Services that a real systemd runs on a host without an agent: told by it, over SSH, as an agent there would."""

from pathlib import Path

import pytest

from tests.agent.host import NAME, Done, Host
from tests.deploy.machine import Machine
from tests.servers.sshd import new_key

LIVE, TOLD = f"/etc/ssl/certs/{NAME}.fullchain.crt", "/root/told"
_SSHD = """Port 22
ListenAddress 127.0.0.1
HostKey /root/host_key
AuthorizedKeysFile /root/authorized
StrictModes no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class Afar:
    """A machine with an sshd, and an agent outside of it; both have one network."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine, self.host = machine, Host(folder / "host")
        there, mine = new_key(folder / "there"), new_key(folder / "mine")
        machine.write("/root/sshd_config", _SSHD)
        machine.write("/root/host_key", there.read_text(), mode=0o600)
        machine.write("/root/authorized", mine.with_name("mine.pub").read_text())
        machine.run("mkdir", "-p", "/run/sshd")
        machine.run("systemd-run", "--unit=afar", "/usr/sbin/sshd", "-D", "-f", "/root/sshd_config")
        machine.run("sh", "-c", "until ss -Hltn | grep -q :22; do sleep 0.05; done")
        (folder / "pins").write_text(f"127.0.0.1 {there.with_name('there.pub').read_text()}")
        self._login = f'ssh_key_file = "{mine}"\nssh_host_keys = "{folder}/pins"\n'
        self.host.key = Path(f"/etc/ssl/private/{NAME}.key")

    def serves(self, service: str, more: str = "") -> None:
        """agent.toml, and the key there."""
        self.host.config.write_text(
            f'state_dir = "{self.host.state_dir}"\nprobe_timeout = "2s"\n[source]\nurl = "sqlite:///{self.host.database}"\n'
            f'[trust]\nroots = "{self.host.roots}"\n[[certificate]]\nname = "{NAME}"\nkey = "{self.host.key}"\n'
            f'host = "ssh://root@127.0.0.1"\nservice = "{service}"\n{self._login}{more}'
        )
        self.agent("request", NAME, "--csr", str(self.host.folder / "host.csr"))
        self.host.offer_new()

    def agent(self, *words: str, code: int = 0) -> Done:
        """In the network of this thread, where the process that others are forked from is not."""
        done = self.host.agent(*words, fresh=True)
        assert done.code == code, done
        return done

    def told(self) -> int:
        """How often the service was."""
        file = self.machine.path(TOLD)
        return file.read_text(encoding="utf-8").count("\n") if file.exists() else 0


@pytest.fixture
def afar(machine: Machine, tmp_path: Path) -> Afar:
    return Afar(machine, tmp_path)


@pytest.mark.soak
def test_commands_fit_the_host(afar: Afar) -> None:
    """systemd is asked whether a service without a socket runs: one that was stopped on purpose gets its files and
    stays stopped. One that runs is told by systemd, once."""
    machine = afar.machine
    unit = f"[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/sh -c 'echo >> {TOLD}'\n"
    machine.write("/etc/systemd/system/mine.service", unit)
    machine.run("systemctl", "daemon-reload")
    preset = 'note = "Ours."\nunits = ["other", "mine"]\nactivate = "reload"\nown = ["false"]\nprobe = []\n'
    (afar.host.folder / "presets").mkdir()
    (afar.host.folder / "presets" / "mine.toml").write_text(f'{preset}[files]\nfullchain = "{LIVE}"\n')
    afar.serves("mine")
    assert "would tell" not in afar.agent("run", "--dry-run").out
    one = afar.agent("run", "--json").certificate
    assert one["state"] == "unprovable"
    assert "; mine does not run and was left alone: its next start takes the new files" in one["detail"]
    assert (afar.told(), machine.show("mine", "ActiveState")) == (0, ("inactive",))
    machine.run("systemctl", "start", "mine")
    new = afar.host.offer_new()
    assert "would tell: systemctl reload mine" in afar.agent("run", "--dry-run").out
    assert afar.agent("run", "--json").certificate["changed"] is True
    assert machine.path(LIVE).read_bytes() == new.fullchain_pem
    assert (afar.told(), machine.show("mine", "ActiveState")) == (1, ("active",))
    assert afar.agent("run", "--json").certificate["changed"] is False


@pytest.mark.soak
def test_its_journal_says_why(afar: Afar) -> None:
    """nginx keeps the old certificate, and its unit says why in the journal of that host."""
    machine, pair = afar.machine, f"ssl_certificate {LIVE}; ssl_certificate_key /etc/ssl/private/{NAME}.key;"
    machine.run("sh", "-c", "rm -f /etc/nginx/sites-enabled/*")
    machine.run("systemctl", "start", "nginx")
    machine.write("/etc/nginx/conf.d/site.conf", f"server {{ listen 443 ssl; {pair} }}\n")
    afar.serves("nginx", 'probe = "https://127.0.0.1"\n')
    assert afar.agent("run", "--json").certificate["state"] == "installed"
    old = machine.path(LIVE).read_bytes()
    reload = f"/bin/sh -c 'echo cannot load {LIVE}: no good'"
    machine.edit("nginx.service", "ExecReload=", f"ExecReload={reload}")
    afar.host.offer_new()
    one = afar.agent("run", "--json", code=1).certificate
    assert one["state"] == "failed"
    assert f"cannot load {LIVE}: no good" in one["detail"]
    assert machine.path(LIVE).read_bytes() == old
