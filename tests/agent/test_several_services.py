"""One certificate of several services, each with commands and sockets of its own; and what no socket shows."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent.host import keys
from tests.agent.host import Host
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port
from tests.servers.process import program


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
    assert done.certificate["hint"].startswith("start or reload mail, whose configuration must name ")
    assert done.certificate["hint"].endswith("; for its traps see `certfleet-agent presets mail`")
    assert nginx.served() == new.certificate
    assert told(host) == ["web"]
    with stopped:
        done = host.run()
        assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
        assert stopped.served() == new.certificate
    assert told(host) == ["web"]


def test_one_that_ends_after_its_proof(host: Host, nginx: Nginx) -> None:
    """The next run finds it silent. Its new file stays, for other programs may be to blame; where the reason is found
    is told."""
    configure(host, {"web": of_nginx(host, "web", nginx) + 'logs = "/var/log/web.log"\n'})
    new = host.offer_new()
    assert host.run().code == 0
    nginx.stop()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert done.certificate["hint"].startswith("start or reload web, whose configuration must name ")
    assert done.certificate["hint"].endswith("; see why in its log: /var/log/web.log")
    assert host.fullchain.read_bytes() == new.fullchain_pem


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


def test_one_of_them_goes_down(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """The hint names the log of that one, and leaves out those of the others."""
    host.offer_new()
    with_log = 'logs = "/var/log/web.log"\n'
    with Nginx(tmp_path / "mail", host.fullchain, host.key, name=host.name) as server:
        dies = (
            f'activate = ["sh", "-c", "kill $(cat {server.folder}/pid)"]\nprobe = "https://127.0.0.1:{server.port}"\n'
        )
        configure(host, {"web": of_nginx(host, "web", nginx) + with_log, "mail": f'{dies}logs = "/var/log/mail.log"\n'})
        done = host.run()
    assert done.code == 1
    assert "answers no more" in done.certificate["detail"]
    assert "see why in its log: /var/log/mail.log" in done.certificate["hint"]
    assert "web.log" not in done.certificate["hint"]


def test_what_no_socket_shows(host: Host, nginx: Nginx) -> None:
    """`verify` runs once after the proof; where it fails, the certificate goes back."""
    first = host.offer_new()
    assert host.run().code == 0
    verify = f'verify = ["sh", "-c", "echo verified >>{host.folder}/told; exit 7"]\n'
    host.served_by(nginx, files=f'{verify}[certificate.files]\nfullchain = "{host.fullchain}"')
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "`sh …` of `verify` failed: exit code 7; rolled back" in done.certificate["detail"]
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
        assert "as a hard link does" in done.err
        assert server.served() == first.certificate
    assert host.fullchain.read_bytes() == other.read_bytes() == first.fullchain_pem


def stopped_haproxy(host: Host, port: int) -> tuple[Path, str]:
    """An HAProxy that does not run, with a good file; and the lines of its preset."""
    file, conf = host.live / "combined.pem", host.folder / "haproxy.cfg"
    file.write_bytes(host.self_signed() + host.key.read_bytes())
    conf.write_text(f"frontend f\n  mode http\n  timeout client 5s\n  bind 127.0.0.1:{port} ssl crt {file}\n")
    check = [program("haproxy", "haproxy"), "-c", "-q", "-f", str(conf)]
    subprocess.run(check, check=True)
    told = ["sh", "-c", f"echo proxy >>{host.folder}/told"]
    return file, f'check = {json.dumps(check)}\nactivate = {json.dumps(told)}\nprobe = "https://127.0.0.1:{port}"\n'


def without_its_key(host: Host, file: Path) -> None:
    """Let the HAProxy's file be one that its check refuses."""
    with host.config.open("a", encoding="utf-8") as config:
        config.write(f'[[certificate.combined]]\npath = "{file}"\nparts = ["certificate", "chain"]\n')


def test_a_stopped_one_refuses_the_files(host: Host, nginx: Nginx) -> None:
    """It has no say over the one that runs: that gets its certificate, and what the check said is told, by `check` for
    as long as it is so."""
    file, proxy = stopped_haproxy(host, free_port())
    configure(host, {"web": of_nginx(host, "web", nginx), "proxy": proxy})
    without_its_key(host, file)
    new = host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "unproven"), done.err
    assert nginx.served() == new.certificate
    assert told(host) == ["web"]
    assert "proxy does not run, and its check fails: `" in done.certificate["detail"]
    assert host.leftovers() == []
    assert host.run().certificate["state"] == "unproven"
    assert told(host) == ["web"]
    line = "warn proxy: proxy does not run, and its check fails: `"
    assert line in host.agent("check").out
    file.write_bytes(host.self_signed() + host.key.read_bytes())
    assert line not in host.agent("check").out


def test_a_check_is_asked_once(host: Host, nginx: Nginx) -> None:
    """`check` asks a service that runs and one that is stopped, before the first certificate and after it."""
    noting = ["sh", "-c", f"echo asked >>{host.folder}/told"]
    host.served_by(nginx, check=noting)
    host.offer_new()
    host.agent("check")
    assert told(host) == ["asked"]
    assert host.run().code == 0
    nginx.stop()
    host.agent("check")
    assert told(host) == ["asked"] * 3


def test_one_that_is_started_refuses_the_files(host: Host, nginx: Nginx) -> None:
    """With `starts_stopped` its check counts: it would not start, and everything stays as it was."""
    was = nginx.served()
    file, proxy = stopped_haproxy(host, free_port())
    configure(host, {"web": of_nginx(host, "web", nginx), "proxy": f"{proxy}starts_stopped = true\n"})
    without_its_key(host, file)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert nginx.served() == was
    assert told(host) == []


def test_a_stopped_one_alone_refuses_the_files(host: Host, nginx: Nginx) -> None:
    """No other service wants them: the good ones from before stay for its next start."""
    file, proxy = stopped_haproxy(host, free_port())
    was = file.read_bytes()
    configure(host, {"proxy": proxy})
    without_its_key(host, file)
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert file.read_bytes() == was


def test_a_stopped_one_refuses_its_own_and_not_the_shared(host: Host, nginx: Nginx) -> None:
    """Of two certificates of a stopped service the one that is for it alone is left out, and the shared one goes in."""
    file, proxy = stopped_haproxy(host, free_port())
    configure(host, {"web": of_nginx(host, "web", nginx), "proxy": proxy})
    other = "other.example.test"
    own = host.live / "own.pem"
    own.write_bytes(file.read_bytes())
    conf = host.folder / "haproxy.cfg"
    conf.write_text(conf.read_text().replace(f"crt {file}", f"crt {file} crt {own}"))
    with host.config.open("a", encoding="utf-8") as config:
        config.write(f'[[certificate.combined]]\npath = "{file}"\nparts = ["certificate", "chain", "key"]\n')
        config.write(f'[[certificate]]\nname = "{other}"\nkey = "{host.key}"\nservice = "proxy"\n')
        config.write(f'[[certificate.combined]]\npath = "{own}"\nparts = ["certificate", "chain"]\n')
    was, new = own.read_bytes(), host.offer_new()
    issued = host.authority.sign(keys.csr(keys.load(host.key), (other,)))
    host.offer(issued.cert_pem, issued.chain_pem, name=other)
    done = host.run()
    states = {one["name"]: one["state"] for one in done.json["certificates"]}
    assert states == {host.name: "unproven", other: "failed"}, done.err
    assert "its check fails" not in done.err
    assert nginx.served() == new.certificate
    assert own.read_bytes() == was
