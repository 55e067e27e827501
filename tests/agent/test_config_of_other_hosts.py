"""agent.toml of certificates on hosts without an agent."""

from pathlib import Path

import pytest

from agent.model.remote_host import RemoteHost, SshAddress
from tests.agent.configured import ENTRY, certificates, findings

SSH = 'ssh_key_file = "/ssh.key"\nssh_host_keys = "/pins"\n'


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "shown"),
    [
        ("ssh://root@esxi1.example.com", "root", "esxi1.example.com", 22, "ssh://root@esxi1.example.com"),
        ("ssh://root@ESXI1.example.com:22/", "root", "esxi1.example.com", 22, "ssh://root@esxi1.example.com"),
        ("ssh://a%40b@[2001:db8::7]:2222", "a@b", "2001:db8::7", 2222, "ssh://a@b@[2001:db8::7]:2222"),
    ],
)
def test_another_host(text: str, user: str, host: str, port: int, shown: str) -> None:
    """Its address, and the login that stands for all or for one certificate."""
    for before, own in ((SSH, ""), ('ssh_key_file = "/x"\nssh_host_keys = "/x"\n', SSH)):
        (one,) = certificates(f'{before}{ENTRY}host = "{text}"\n{own}service = "nginx"')
        assert one.host == RemoteHost(SshAddress(user, host, port), Path("/ssh.key"), Path("/pins"))
        assert str(one.host.address) == shown
        assert [service.host for service in one.services] == [shown]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("esxi1.example.com", "names no host and user"),
        ("ssh://esxi1.example.com", "names no host and user"),
        ("sftp://root@esxi1.example.com", "names no host and user"),
        ("ssh://root@esxi1.example.com:0", "names no host and user"),
        ("ssh://root@esxi1.example.com:99999", "is malformed"),
        ("ssh://root@esxi1.example.com/etc", "has something behind the host"),
        ("ssh://root:s3cret@esxi1.example.com", "must not hold a password"),
    ],
)
def test_what_is_no_address_of_a_host(text: str, problem: str) -> None:
    """One sentence, without a secret."""
    ((place, said),) = findings(f'{SSH}{ENTRY}host = "{text}"\nservice = "nginx"').items()
    assert place == "certificate[0].host"
    assert problem in said
    assert "s3cret" not in said


def test_what_another_host_needs_and_what_cannot_be() -> None:
    """A login, the keys that it may show, and no file with the key. Two hosts may have files of one path."""
    entry = ENTRY + 'host = "ssh://root@a.example.com"\nservice = "nginx"\n'
    combined = '[[certificate.combined]]\npath = "/c"\nparts = ["key", "certificate"]\n'
    places = ("host", "ssh_key_file", "ssh_host_keys")
    assert list(findings(entry + combined)) == [f"certificate[0].{place}" for place in places]
    other = entry.replace("www.example.com", "b.example.com").replace("a.example.com", "b.example.com")
    files = '[certificate.files]\nfullchain = "/f"\n'
    assert len(certificates(f"{SSH}{entry}{files}{other}{files}")) == 2
    same = entry.replace("www.example.com", "b.example.com")
    assert "written twice" in findings(f"{SSH}{entry}{files}{same}{files}")["certificate[1].files"]
