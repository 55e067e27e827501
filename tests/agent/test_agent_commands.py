"""The commands as a sysadmin types them: request, probe, presets, status, init. Exit codes and sentences."""

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from agent.settings.config import load_settings
from agent.settings.preset import Presets
from common.clock import utc_text
from tests.agent.host import AGENT, NAME, ROOT, Host
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx


def test_an_ordinary_user_is_told_to_be_root(bare: Host, open_folder: Path) -> None:
    """A folder that may not be entered is a sentence, not a fault."""
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    done = bare.agent("request", NAME, "--key", str(closed / "k.pem"), "--csr", "-", user=65534)
    assert (done.code, f"run as root, to whom {closed} belongs" in done.err) == (1, True), done.err


def test_probe_tells_what_is_served(host: Host, nginx: Nginx) -> None:
    """Names, issuer, serial, dates, fingerprint, whether the host is covered, days left."""
    issued = host.authority.issue([NAME, "localhost"])
    files = issued.write(host.folder / "other")
    with Nginx(host.folder / "second", files.fullchain, files.key, name=NAME) as second:
        target = f"https://{NAME}:1?connect=127.0.0.1:{second.port}"
        done = host.agent("probe", target, "--json")
        assert done.code == 0, done.err
        (seen,) = done.json["targets"]
        assert (seen["names"], seen["issuer"], seen["host_covered"]) == (["localhost", NAME], "Test Intermediate", True)
        assert seen["serial"] == f"{issued.certificate.serial_number:X}".zfill(len(seen["serial"]))
        assert seen["days_left"] in {88, 89}
        assert host.agent("probe", f"tls://127.0.0.1:{second.port}").code == 0
        wrong = host.agent("probe", f"https://elsewhere.example.test?connect=127.0.0.1:{second.port}")
        assert (wrong.code, "it does not cover elsewhere.example.test" in wrong.out) == (1, True)


@pytest.mark.parametrize(("begins", "says"), [(-3, "it expired at 2"), (3, "it is not valid before 2")])
def test_probe_of_what_is_not_valid_or_not_there(host: Host, tmp_path: Path, begins: int, says: str) -> None:
    """Expired, not yet valid, nobody there, no such name: not well, each with its own words."""
    other = host.authority.issue([NAME], days=1, not_before=datetime.now(UTC) + timedelta(days=begins))
    files = other.write(tmp_path / "other")
    with Nginx(tmp_path / "nginx", files.fullchain, files.key, name=NAME) as server:
        done = host.agent("probe", f"https://{NAME}?connect=127.0.0.1:{server.port}")
        assert (done.code, says in done.out) == (1, True)
        port = server.port
    done = host.agent("probe", f"https://127.0.0.1:{port}", "https://nowhere.invalid", "--json")
    assert done.code == 1
    assert [seen["seen"] for seen in done.json["targets"]] == ["down", "unknown"]


def test_probe_of_a_certificate_with_a_name_that_nobody_can_read(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """As old CAs write it, in a T61String: the rest of it is told, and so are the other targets."""
    odd = host.authority.issue([NAME])
    der, (utf8, t61) = odd.certificate.public_bytes(Encoding.DER), (b"\x0c\x11Test", b"\x14\x11T\xe9st")
    assert utf8 in der
    pem = ssl.DER_cert_to_PEM_cert(der.replace(utf8, t61)).encode()
    files = replace(odd, cert_pem=pem).write(tmp_path / "odd")
    with Nginx(tmp_path / "odd-nginx", files.fullchain, files.key, name=NAME) as server:
        targets = [f"https://{NAME}?connect=127.0.0.1:{port}" for port in (server.port, nginx.port)]
        seen = host.agent("probe", *targets, "--json").json["targets"]
        assert [one["issuer"] for one in seen] == ["(unreadable)", "placeholder"]
        assert "issuer       (unreadable)" in host.agent("probe", *targets).out


def test_probe_tells_silence_from_absence(bare: Host) -> None:
    """What answers without TLS is neither served nor down; a target that cannot be meant is wrong usage."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = bare.agent("probe", f"smtp://127.0.0.1:{port}", "--json")
        thread.join()
    assert [(seen["seen"], seen["problem"]) for seen in done.json["targets"]] == [("no-tls", "it ends the connection")]
    assert bare.agent("probe", "gopher://mx.example.test").code == 2


def test_presets(bare: Host) -> None:
    """All of them, one of them, an unknown one."""
    shown = bare.agent("presets", "nginx").out
    assert "check     nginx -t\n" in shown
    assert "trap      Old workers serve their open connections on" in shown
    known = {preset["name"]: preset for preset in bare.agent("presets", "--json").json}
    assert (known["nginx"]["check"], known["nginx"]["here"]["program"]) == ([["nginx", "-t"]], "nginx")
    assert known["esxi"]["here"] == {"state": "-", "unit": "", "script": "", "program": "", "has_socket": False}
    done = bare.agent("presets", "nonsense")
    assert (done.code, "without a name all of them are shown" in done.err) == (2, True)


def test_status_before_and_after(host: Host, nginx: Nginx) -> None:
    """Never run: not well. After a good run: well, with serial and end."""
    done = host.agent("status", "--json")
    assert (done.code, done.certificate["state"], done.json["last_run"]) == (1, "never-run", None)
    issued = host.offer_new()
    assert host.agent("run").code == 0
    silent = host.agent("run", "-q")
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    done = host.agent("status", "--json")
    assert (done.code, done.certificate["state"], done.certificate["well"]) == (0, "installed", True)
    assert int(done.certificate["serial"], 16) == issued.certificate.serial_number
    assert done.json["last_run"] is not None
    assert NAME in host.agent("status").out


def test_only_a_run_counts_as_the_last_run(host: Host, nginx: Nginx) -> None:
    """Not what a person does under the same lock: a timer that is dead would look alive."""
    ahead = ("request", NAME, "--next", "--csr", "-")
    assert host.agent(*ahead).code == 0
    assert host.agent("status").out.startswith("last run never\n")
    host.offer_new()
    assert host.agent("run").code == 0
    long_ago = time.time() - 3 * 86400
    for words in (ahead, ("rollback", NAME)):
        for file in host.state_dir.iterdir():
            os.utime(file, (long_ago, long_ago))
        host.agent(*words)
        assert (host.state_dir / "lock").stat().st_mtime > long_ago
        assert host.agent("status", "--json").json["last_run"] == utc_text(long_ago)


def test_status_shows_a_refusal(host: Host, nginx: Nginx) -> None:
    """What was refused, and when it is tried again."""
    other = Authority("Other").issue([NAME])
    host.offer(other.cert_pem, other.chain_pem)
    first = host.agent("run")
    assert first.code == 1
    done = host.agent("status")
    assert done.code == 1
    assert "it is tried again when a newer one comes or after" in done.out
    for shown in (first.err, host.agent("run").err, done.out):
        assert f"{NAME}: refused: the certificate offered does not fit: key: it belongs to another key" in shown
        assert f"what to do: put its key in place; or make a CSR here with `certfleet-agent request {NAME}`" in shown
    assert host.agent("status", "--json").certificate["refused"]["attempts"] == 1


def test_init_writes_what_run_accepts(bare: Host) -> None:
    """A commented file that parses, a private state folder; a second time nothing is overwritten."""
    source = f"sqlite:///{bare.database}"
    arguments = ["init", NAME, "--config", str(bare.config), "--state-dir", str(bare.state_dir), "--source", source]
    done = bare.agent(*arguments)
    assert done.code == 0, done.err
    [found] = [line.partition("services found here: ")[2] for line in done.out.splitlines() if "found here" in line]
    assert {"apache", "nginx"} <= set(found.split(", "))
    settings, (one,) = load_settings(bare.config)
    assert (settings.state_dir, settings.source.url, one.name) == (bare.state_dir, source, NAME)
    assert stat.S_IMODE(bare.state_dir.stat().st_mode) == 0o700
    written = bare.config.read_bytes()
    again = bare.agent(*arguments)
    assert (again.code, "exists already" in again.err) == (1, True)
    assert bare.config.read_bytes() == written


def test_init_takes_a_web_server_that_runs_first(bare: Host) -> None:
    """Before another service that runs, whatever their names: a name is a web site's, more often than a database's. One
    that does not run comes behind both."""
    (bare.config.parent / "presets").mkdir()
    runs, web = json.dumps(Path("/proc/self/comm").read_text(encoding="utf-8").strip()), '"https://{name}"'
    for name, probe, process in (("a-idle", web, '"none"'), ("b-data", '"mysql://{name}"', runs), ("c-web", web, runs)):
        text = f'note = "{name}"\nprograms = "sh"\nprocesses = {process}\nprobe = {probe}\n'
        (bare.config.parent / "presets" / f"{name}.toml").write_text(text)
    places = ["--config", str(bare.config), "--state-dir", str(bare.state_dir)]
    done = bare.agent("init", NAME, *places, "--source", f"sqlite:///{bare.database}")
    [found] = [line.partition("services found here: ")[2] for line in done.out.splitlines() if "found here" in line]
    assert [one for one in found.split(", ") if one in {"a-idle", "b-data", "c-web"}] == ["c-web", "b-data", "a-idle"]


@pytest.mark.parametrize("words", [["run"], ["rollback"], ["release"], ["request", "--next"]])
def test_a_mistyped_name(host: Host, words: list[str]) -> None:
    """Every command that looks a name up says which one may be meant."""
    host.configure()
    done = host.agent(words[0], NAME.replace("example", "exmaple"), *words[1:])
    assert done.code == 2
    assert f"did you mean {NAME}? configured are: {NAME}" in done.err


def test_init_prints_the_entry_of_a_further_name(bare: Host) -> None:
    """On standard output is what is to be appended; agent.toml is as it was. Appended, it is well formed."""
    words = ["--config", str(bare.config), "--state-dir", str(bare.state_dir), "--source", f"sqlite:///{bare.database}"]
    words += ["--service", "nginx"]  # else it is one that runs here, as a FreeRADIUS of another test, and has no socket
    assert bare.agent("init", NAME, *words).code == 0
    written = bare.config.read_bytes()
    done = bare.agent("init", NAME, "b.example.test", "*.example.test", *words)
    assert (done.code, bare.config.read_bytes()) == (0, written), done.err
    assert "append this entry" in done.err
    assert "`certfleet-agent init --system b.example.test '*.example.test'` appends it" in done.err
    bare.config.write_bytes(written + done.out.encode())
    _, certificates = load_settings(bare.config)
    assert [one.name for one in certificates] == [NAME, "b.example.test", "*.example.test"]
    assert [one.host for one in certificates[2].probes] == ["www.example.test"]  # a wildcard name has no socket


def test_init_with_one_name_twice(bare: Host) -> None:
    """Also in another case: it has one entry, and the file is one that every command takes."""
    words = ["--config", str(bare.config), "--state-dir", str(bare.state_dir), "--source", f"sqlite:///{bare.database}"]
    done = bare.agent("init", NAME, NAME.upper(), NAME, *words)
    assert done.code == 0, done.err
    assert [one.name for one in load_settings(bare.config)[1]] == [NAME]


def test_init_writes_nothing_that_no_command_takes(bare: Host) -> None:
    """Two names for a service with one file: refused before anything is there."""
    words = ["--config", str(bare.config), "--state-dir", str(bare.state_dir), "--source", f"sqlite:///{bare.database}"]
    done = bare.agent("init", NAME, "b.example.test", "--service", "cockpit", *words)
    assert (done.code, "is written twice" in done.err, bare.config.exists()) == (2, True, False), done.err


def test_init_fills_every_place_in(bare: Host) -> None:
    """Also for a wildcard name, whose sockets the entry names itself."""
    for name in Presets(bare.config).names:
        bare.config.unlink(missing_ok=True)
        words = ["--config", str(bare.config), "--state-dir", str(bare.state_dir), "--service", name]
        done = bare.agent("init", "*.example.test", *words, "--source", f"sqlite:///{bare.database}")
        probes = [line for line in bare.config.read_text().splitlines() if "probe = " in line]
        assert (done.code, "{" in "".join(probes)) == (0, False), probes


def test_init_obeys_no_option_that_agent_toml_contradicts(bare: Host) -> None:
    """It keeps the file, and so an option that says something else would be lost: refused, with its name."""
    places = ["--config", str(bare.config), "--state-dir", str(bare.state_dir)]
    source = ["--source", f"sqlite:///{bare.database}"]
    assert bare.agent("init", NAME, *places, *source).code == 0
    written = bare.config.read_bytes()
    for other in (["--source", "sqlite:///other.db"], ["--password-file", "/p"], ["--issuer-key", "x"]):
        done = bare.agent("init", "b.example.test", *places, *other)
        assert (done.code, done.out, bare.config.read_bytes()) == (2, "", written)
        assert f"exists already, and does not say the same as {other[0]}" in done.err
    assert bare.agent("init", "b.example.test", *places, *source).code == 0
    assert bare.agent("init", "b.example.test", *places[:-1], f"{bare.state_dir}/", *source).code == 0


def test_init_pins_the_issuers_key(bare: Host) -> None:
    """As `certfleet-issuer key show` prints it; `check` then names its id."""
    key, source = "A" * 43 + "=", f"sqlite:///{bare.database}"
    places = ["--config", str(bare.config), "--state-dir", str(bare.state_dir), "--source", source]
    assert bare.agent("init", NAME, *places, f"--issuer-key={key}").code == 0
    settings, (one,) = load_settings(bare.config)
    assert (settings.trust.issuer_key, one.issuer_key) == (key, key)
    assert "ok   trust: only what the issuer with the key 66687aadf862bd77 has signed" in bare.agent("check").out


def test_init_lets_nobody_else_write(bare: Host) -> None:
    """Under no umask at all the new folders of agent.toml and of the state are open to nobody's writing."""
    config, state_dir = bare.folder / "a" / "b" / "agent.toml", bare.folder / "c" / "state"
    words = ["init", "--config", str(config), "--state-dir", str(state_dir), "--source", f"sqlite:///{bare.database}"]
    done = bare.agent(*words, wrap=["sh", "-c", 'umask 000; exec "$@"', "sh"])
    assert done.code == 0, done.err
    made = [config.parent, config.parent.parent, state_dir.parent, state_dir]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o755, 0o755, 0o755, 0o700]


def test_init_without_names_leaves_them_commented(bare: Host) -> None:
    """The file parses; `run` then says that nothing is configured."""
    assert bare.agent("init", "--config", str(bare.config), "--state-dir", str(bare.state_dir)).code == 0
    _, certificates = load_settings(bare.config)
    assert certificates == ()
    done = bare.agent("run")
    assert (done.code, "none is configured" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("state_dir = 1", "must be a text"), ("nonsense", "is not TOML"), ("[source]\nurl='x'\n[sourc]", "did you mean")],
)
def test_a_broken_configuration(bare: Host, text: str, sentence: str) -> None:
    """Exit code 2 and where it is wrong, for every command that reads it."""
    bare.config.write_text(text)
    for command in ("run", "status"):
        done = bare.agent(command)
        assert (done.code, sentence in done.err) == (2, True), done.err


def test_the_agent_needs_none_of_the_issuers_libraries(host: Host, nginx: Nginx) -> None:
    """It runs where SQLAlchemy, acme, dnspython, Alembic, requests and rich cannot be imported."""
    host.offer_new()
    blocked = (
        "import sys\nfor name in ('sqlalchemy', 'acme', 'dns', 'alembic', 'rich', 'requests', 'josepy', 'issuer'):\n"
    )
    done = host.run(program=f"{blocked}    sys.modules[name] = None\n{AGENT}", fresh=True)
    assert done.code == 0, done.err


def test_each_command_imports_only_what_it_needs(host: Host, nginx: Nginx) -> None:
    """An unchanged run from SQLite loads no MySQL library; presets load no X.509."""
    host.offer_new()
    assert host.run().code == 0
    show = "import json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    program = f"import sys; from agent.cli import main; code = main(); {show}; sys.exit(code)"
    for command, absent in (("run", {"pymysql"}), ("presets", {"cryptography", "pymysql", "sqlite3"})):
        environment = {**os.environ, "CERTFLEET_CONFIG": str(host.config)}
        done = subprocess.run(
            [sys.executable, "-c", program, command],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment,
        )
        assert not absent & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's commands are worth a stranger's words")
@pytest.mark.parametrize("is_his", [False, True])
def test_another_place_is_recommended_where_that_one_is_safe(bare: Host, is_his: bool) -> None:
    """And not where the place of root's own is somebody else's too, such as the one that was just refused."""
    folder = bare.folder / "shared"
    folder.mkdir()
    os.chown(folder, 65534, -1)
    config, safe = folder / "agent.toml", (folder if is_his else bare.folder) / "other.toml"
    program = f"import agent.commands.run as module\nmodule.ROOTS_FILE = {str(safe)!r}\n{AGENT}"
    for command, code in (("init", 1), ("run", 2)):
        done = bare.agent("--config", str(config), command, program=program)
        assert (done.code, is_his) == (code, f"or use {safe}, which is found without --config" not in done.err)
        assert f"nobody, to whom {folder} belongs, c" in done.err
        assert "make it and its folder root's alone (chown root, chmod go-w)" in done.err
        config.write_text(f'state_dir = "{bare.folder}/state"\n[source]\nurl = "sqlite:///{bare.folder}/none.db"\n')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's commands are worth a stranger's words")
@pytest.mark.parametrize("deep", [False, True])
def test_a_configuration_of_somebody_else_is_refused(bare: Host, deep: bool) -> None:
    """As where issuer and agent share a folder that belongs to the issuer's user: who owns it commands root. So does
    the owner of a folder above, and of a folder that a link leads to."""
    folder = bare.folder / "shared"
    folder.mkdir()
    config = (folder / "deep" if deep else folder) / "agent.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f'state_dir = "{bare.folder}/state"\n[source]\nurl = "sqlite:///{bare.folder}/none.db"\n')
    assert "can make root run" not in bare.agent("--config", str(config), "run").err
    os.chown(folder, 65534, -1)
    link = bare.folder / "link.toml"
    link.symlink_to(config)
    for path in (config, link):
        for command in (
            ["run"],
            ["run", "--dry-run"],
            ["rollback", NAME],
            ["check"],
            ["hold", NAME, "--until", "2126-01-01"],
            ["release", NAME],
        ):
            done = bare.agent("--config", str(path), *command)
            assert done.code == 2
            assert f"nobody, to whom {folder} belongs, can make root run any command by {path}" in done.err
            assert "--obey-owner" in done.err
            assert "make it and its folder root's alone (chown root, chmod go-w)" in done.err
    assert "none is configured" in bare.agent("--config", str(config), "run", "--obey-owner").err
