"""One certificate of several services, each with commands and sockets of its own; and what no socket shows."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tests.agent.host import Host
from tests.servers.nginx import Nginx


def configure(host: Host, services: Mapping[str, str]) -> None:
    """A preset for each service, with these lines, and one certificate for all."""
    folder = host.folder / "presets"
    folder.mkdir(exist_ok=True)
    for name, lines in services.items():
        (folder / f"{name}.toml").write_text(f'note = "{name}"\n{lines}', encoding="utf-8")
    host.configure(probe_timeout="2s")
    text = host.config.read_text(encoding="utf-8")
    words = ("check = ", "activate = ", "probe = ")  # the presets say
    kept = [line for line in text.splitlines() if not line.startswith(words)]
    entry = kept.index("[[certificate]]") + 1
    host.config.write_text("\n".join([*kept[:entry], f"service = {json.dumps(list(services))}", *kept[entry:], ""]))


def of_nginx(host: Host, name: str, server: Nginx) -> str:
    """The lines of a preset for *server*, which notes that it was told."""
    told = ["sh", "-c", f'echo {name} >>{host.folder}/told; exec "$@"', "sh", *server.activate]
    return f'check = {json.dumps(server.check)}\nactivate = {json.dumps(told)}\nprobe = "https://127.0.0.1:{server.port}"\n'


def told(host: Host) -> list[str]:
    file = host.folder / "told"
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def test_one_of_them_is_stopped(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """The other one gets the certificate; the next run after its start proves it there too."""
    stopped = Nginx(tmp_path / "stopped", host.fullchain, host.key, name=host.name)
    configure(host, {"web": of_nginx(host, "web", nginx), "mail": of_nginx(host, "mail", stopped)})
    new = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert nginx.served() == new.certificate
    assert told(host) == ["web"]
    with stopped:
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert stopped.served() == new.certificate
    assert told(host) == ["web"]


def test_one_without_a_socket_fails(host: Host, nginx: Nginx) -> None:
    """The socket of the other one says nothing of it: the certificate goes back, for this reason."""
    first = host.offer_new()
    configure(host, {"web": of_nginx(host, "web", nginx)})
    assert host.run().code == 0
    unseen = 'activate = ["sh", "-c", "echo no such module >&2; exit 1"]\nprobe = []\n'
    configure(host, {"web": of_nginx(host, "web", nginx), "radius": unseen})
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "no such module" in done.certificate["detail"]
    assert nginx.served() == first.certificate
    assert host.fullchain.read_bytes() == first.fullchain_pem


def test_what_no_socket_shows(host: Host, nginx: Nginx) -> None:
    """`verify` runs once after the proof; where it fails, the certificate goes back."""
    first = host.offer_new()
    assert host.run().code == 0
    verify = f'verify = ["sh", "-c", "echo verified >>{host.folder}/told; exit 7"]\n'
    host.served_by(nginx, files=f'{verify}[certificate.files]\nfullchain = "{host.fullchain}"')
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "exit 7` failed: exit code 7; rolled back" in done.certificate["detail"]
    assert told(host) == ["verified"]
    assert nginx.served() == first.certificate
    assert host.fullchain.read_bytes() == first.fullchain_pem


def test_the_other_name_of_a_hard_link(host: Host, tmp_path: Path) -> None:
    """A service that reads it goes on with the old one: the hint names that."""
    other = host.folder / "chroot.pem"
    first = host.offer_new()
    host.configure()
    assert host.run().code == 0
    os.link(host.fullchain, other)
    with Nginx(tmp_path / "chroot", other, host.key, name=host.name) as server:
        host.served_by(server, probe_timeout="1s")
        host.offer_new()
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
        assert "the other name of a hard link" in done.err
        assert server.served() == first.certificate
    assert host.fullchain.read_bytes() == other.read_bytes() == first.fullchain_pem
