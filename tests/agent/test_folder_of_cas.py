"""Live files in a folder that the operating system fills anew, as /etc/ssl/certs is on openSUSE and SLES."""

from tests.agent.host import NAME, Host

_LAID_OUT = """mount -t tmpfs none /var/lib; mount -t tmpfs none /etc/ssl; mkdir -p /var/lib/ca-certificates/pem
ln -s /var/lib/ca-certificates/pem /etc/ssl/certs; exec "$@" """
OPENSUSE = ["unshare", "--mount", "sh", "-ec", _LAID_OUT, "sh"]
FILE = f"/etc/ssl/certs/{NAME}.fullchain.crt"
SAID = f"{FILE} leads to /var/lib/ca-certificates/pem/{NAME}.fullchain.crt, which update-ca-certificates deletes"
HINT = 'fullchain = "/etc/ssl/NAME.fullchain.crt"'


def test_check_warns_of_a_file_that_will_be_deleted(host: Host) -> None:
    """Where the folder is an ordinary one, nothing is said."""
    host.configure(files=f'[certificate.files]\nfullchain = "{FILE}"')
    there = host.agent("check", wrap=OPENSUSE).out
    (line,) = [line for line in there.splitlines() if SAID in line]
    assert line.startswith("warn ")
    assert HINT in there
    assert "update-ca-certificates" not in host.agent("check").out


def test_init_warns_of_a_file_that_will_be_deleted(bare: Host) -> None:
    """Of those of its first names, before a run writes one."""
    places = ["--config", str(bare.config), "--state-dir", str(bare.state_dir)]
    words = ["init", NAME, *places, "--source", f"sqlite:///{bare.database}", "--service", "nginx"]
    done = bare.agent(*words, wrap=OPENSUSE)
    assert done.code == 0, done.err
    assert SAID in done.err
    assert HINT in done.err
    bare.config.unlink()
    assert "update-ca-certificates" not in bare.agent(*words).err
