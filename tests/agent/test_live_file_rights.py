"""Mode, owner and access control list of live files: as meant when they are written, and when somebody changed them."""

import os
import stat
import struct
from pathlib import Path

import pytest

from tests.agent.host import NAME, Host
from tests.agent.windows import CLOSED, window

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
GAMES, EVERY = 5, 2**32 - 1


def access_list(*, group: int, games: int = 5, mask: int = 5, other: int = 0) -> bytes:
    """What ``setfacl -m u:games:…,g::…`` makes, in the form of the kernel."""
    entries = [(1, 6, EVERY), (2, games, GAMES), (4, group, EVERY), (16, mask, EVERY), (32, other, EVERY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


def named_users(file: Path) -> int:
    """How many users and groups its access control list names."""
    if ACCESS not in os.listxattr(file):
        return 0
    return sum(tag in {2, 8} for tag, _, _ in struct.iter_unpack("<HHI", os.getxattr(file, ACCESS)[4:]))


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def combined(host: Host) -> Path:
    """The path of a file with everything in it, which agent.toml names; no socket can show it."""
    file = host.live / "combined.pem"
    configure(host, file)
    return file


def configure(host: Host, file: Path, rights: str = "", activate: tuple[str, ...] = ()) -> None:
    reloads = ["sh", "-c", f"echo >> {host.folder}/reloads"]
    parts = 'parts = ["certificate", "chain", "key"]'
    host.configure(activate=activate or reloads, more=f'[[certificate.combined]]\npath = "{file}"\n{parts}\n{rights}\n')


def reloads(host: Host) -> int:
    return (host.folder / "reloads").read_text().count("\n")


@pytest.mark.sampled
@pytest.mark.parametrize("before", ["nothing", "a file from before", "a file that inherited"])
@pytest.mark.parametrize("rights", ["", 'mode = "0640"'])
@pytest.mark.parametrize("fails", [False, True])
def test_a_key_does_not_inherit(host: Host, combined: Path, before: str, rights: str, *, fails: bool) -> None:
    """A default list of the folder opens no file with a key, and does not close it to the service's group; nor after a
    roll back, which leaves just what was there."""
    default = access_list(group=0)
    if before == "a file from before":
        combined.write_bytes(b"old")
        combined.chmod(0o640)
    os.setxattr(host.live, DEFAULT, default)
    if before == "a file that inherited":
        combined.write_bytes(b"old")
        combined.chmod(0o640)
        assert named_users(combined) == 1
    was = (mode(combined), named_users(combined)) if combined.exists() else None
    configure(host, combined, rights, ("false",) if fails else ())
    host.offer_new()
    done = host.run()
    assert done.code == (1 if fails else 0), done.err
    if fails:
        assert ((mode(combined), named_users(combined)) if combined.exists() else None) == was
        return
    expected = 0o640 if rights or before == "a file from before" else 0o600
    assert (mode(combined), named_users(combined)) == (expected, 0)
    assert ("access control list" in done.certificate["detail"]) is (before == "a file that inherited")


def test_a_public_file_keeps_its_list_beside_a_mode(host: Host) -> None:
    """As chmod(1) keeps it; and a new one has what its folder gives it."""
    new = host.live / "new.pem"
    os.setxattr(host.fullchain, ACCESS, access_list(group=4, mask=4))
    os.setxattr(host.live, DEFAULT, access_list(group=4))
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"\ncertificate = "{new}"\nmode = "0640"'
    host.configure(files=files)
    host.offer_new()
    assert host.run().code == 0
    assert [(mode(file), named_users(file)) for file in (host.fullchain, new)] == [(0o640, 1)] * 2
    assert host.run("-q").err == ""


def test_a_label_of_its_own_stays(host: Host, combined: Path) -> None:
    """Also beside a mode: the SELinux context that a person gave to that file."""
    label = b"system_u:object_r:cert_t:s0\0"
    combined.write_bytes(b"old")
    os.setxattr(combined, "security.selinux", label)
    configure(host, combined, 'mode = "0640"')
    host.offer_new()
    assert host.run().code == 0
    assert os.getxattr(combined, "security.selinux") == label


@pytest.mark.parametrize(
    ("rights", "opened", "meant"),
    [('mode = "0600"', 0o644, 0o600), ("", 0o644, 0o640), ('mode = "0640"', 0o600, 0o640), ("", 0o606, 0o600)],
)
def test_a_mode_that_was_changed_by_hand(host: Host, combined: Path, rights: str, opened: int, meant: int) -> None:
    """It is what is meant at the next run, which says so even with -q; the service is not told, and all is well."""
    configure(host, combined, rights)
    host.offer_new()
    assert host.run().code == 0
    content = combined.read_bytes()
    combined.chmod(opened)
    done = host.agent("run", "-q")
    assert (done.code, done.out) == (0, "")
    assert f"{combined} had mode {opened:04o}, now {meant:04o}" in done.err
    assert (mode(combined), combined.read_bytes(), reloads(host)) == (meant, content, 1)
    assert f"{combined} had mode {opened:04o}, now {meant:04o}" in host.reported()["detail"]
    again = host.agent("run", "-q")
    assert (again.code, again.err) == (0, "")
    assert str(combined) not in host.reported()["detail"]


@pytest.mark.parametrize("what", ["refused", "unreachable"])
def test_also_where_nothing_new_can_be_taken(host: Host, combined: Path, what: str) -> None:
    """Neither a source that is away nor a certificate that is refused for hours leaves a key open."""
    configure(host, combined, 'mode = "0600"')
    host.offer_new()
    assert host.run().code == 0
    if what == "refused":
        host.offer(host.placeholder.cert_pem, host.placeholder.chain_pem)
    else:
        host.database.rename(host.folder / "away")
    assert (host.run().code, mode(combined)) == (1, 0o600)
    combined.chmod(0o644)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, what)
    assert f"{combined} had mode 0644, now 0600" in done.err
    assert mode(combined) == 0o600


@pytest.mark.parametrize("what", ["held", "refused", "away", "window"])
def test_a_file_with_the_key_beside_the_key_itself(host: Host, combined: Path, what: str) -> None:
    """Both are closed by the same run, also one that takes nothing new: that the key's file is touched is no reason to
    leave the other one open."""
    host.offer_new()
    assert host.run().code == 0
    if what == "held":
        assert host.agent("hold", NAME, "--until", "2090-06-30").code == 0
    elif what == "refused":
        host.offer(host.placeholder.cert_pem, host.placeholder.chain_pem)
    elif what == "away":
        host.database.rename(host.folder / "away")
    else:
        host.offer_new()
        window(host, *CLOSED)
    for file in (host.key, combined):
        file.chmod(0o644)
    done = host.run()
    for file in (host.key, combined):
        assert f"{file} had mode 0644, now 0600" in done.err
        assert mode(file) == 0o600
    again = host.run()
    assert (again.certificate["state"], "had mode" in again.err) == (done.certificate["state"], False)


def test_a_mode_that_its_service_does_not_bear(host: Host, combined: Path) -> None:
    """Rights that are new in agent.toml come with an install; where that is rolled back they are those of before."""
    configure(host, combined, 'mode = "0640"')
    host.offer_new()
    assert host.run().code == 0
    configure(host, combined, 'mode = "0600"', ("false",))
    for _ in range(2):
        assert (host.run().code, mode(combined)) == (1, 0o640)


def test_a_mode_behind_a_link_of_root(host: Host, combined: Path) -> None:
    """The file that the link leads to is put right, and the link stays."""
    real = host.live / "real.pem"
    real.write_bytes(b"old")
    combined.symlink_to(real.name)
    configure(host, combined, 'mode = "0600"')
    host.offer_new()
    assert host.run().code == 0
    real.chmod(0o666)
    assert host.run().code == 0
    assert (mode(real), combined.is_symlink()) == (0o600, True)


def test_an_owner_and_a_list_that_were_changed_by_hand(host: Host, combined: Path) -> None:
    """Those that agent.toml names come back; a list beside a configured mode goes."""
    configure(host, combined, 'owner = "root"\ngroup = "33"\nmode = "0640"')
    host.offer_new()
    assert host.run().code == 0
    os.chown(combined, GAMES, 60)
    os.setxattr(combined, ACCESS, access_list(group=4, mask=4))
    done = host.run()
    assert done.code == 0, done.err
    for text in ("owner 5, now 0", "group 60, now 33", "an access control list"):
        assert text in done.certificate["detail"]
    status = combined.stat()
    assert (status.st_uid, status.st_gid, mode(combined), named_users(combined)) == (0, 33, 0o640, 0)


def test_what_is_not_configured_is_left_to_people(host: Host, combined: Path) -> None:
    """A group, or a list on this one file, that somebody gave by hand and agent.toml does not name."""
    host.offer_new()
    assert host.run().code == 0
    os.chown(combined, 0, 33)
    combined.chmod(0o640)
    os.setxattr(combined, ACCESS, access_list(group=4, mask=4))
    done = host.run("-q")
    assert (done.code, done.err) == (0, "")
    assert (mode(combined), combined.stat().st_gid, named_users(combined)) == (0o640, 33, 1)
    host.offer_new()
    assert host.run().code == 0
    assert (mode(combined), combined.stat().st_gid, named_users(combined)) == (0o640, 33, 1)


@pytest.mark.sampled
@pytest.mark.parametrize("opened", [0o644, 0o660, 0o604])
def test_the_key_itself(host: Host, combined: Path, opened: int) -> None:
    """Opened by hand it has the mode of the last install again, with which its service read it; that is said with -q
    too, and all is well. A new certificate comes in the same run."""
    host.offer_new()
    assert host.run().code == 0
    content = host.key.read_bytes()
    for offers in (False, True):
        if offers:
            host.offer_new()
        host.key.chmod(opened)
        done = host.agent("run", "-q")
        assert (done.code, done.out) == (0, "")
        assert f"{host.key} had mode {opened:04o}, now 0600" in done.err
        assert (mode(host.key), host.key.read_bytes(), reloads(host)) == (0o600, content, 1 + offers)
        assert f"{host.key} had mode {opened:04o}, now 0600" in host.reported()["detail"]
    done = host.agent("run", "-q")
    assert (done.code, done.err) == (0, "")
    assert str(host.key) not in host.reported()["detail"]


def test_a_key_that_was_opened_while_nothing_can_be_taken(host: Host, combined: Path) -> None:
    """A source that is away, and a pause."""
    host.offer_new()
    assert host.run().code == 0
    assert host.agent("hold", NAME, "--until", "2090-06-30", "--reason", "fair").code == 0
    host.key.chmod(0o644)
    assert (host.run().code, mode(host.key)) == (0, 0o600)
    assert host.agent("release", NAME).code == 0
    host.database.rename(host.folder / "away")
    host.key.chmod(0o644)
    assert (host.run().code, mode(host.key)) == (1, 0o600)


def test_a_key_that_was_never_closed(host: Host, combined: Path) -> None:
    """Its service may need it so, or another one: nothing is installed, and each run says so until somebody closes it.
    So it is with a key that took the place of ours."""
    host.key.chmod(0o644)
    host.offer_new()
    for _ in range(2):
        done = host.run()
        assert (done.code, mode(host.key)) == (1, 0o644)
        assert f"{host.key}: holds a secret but its mode is 0644" in done.err
    host.key.chmod(0o600)
    assert (host.run().code, reloads(host)) == (0, 1)
    host.key.write_bytes(host.key.read_bytes() + b"\n")
    host.key.chmod(0o644)
    assert (host.run().code, mode(host.key)) == (1, 0o644)


def test_an_owner_that_is_nobody_here(host: Host, combined: Path) -> None:
    """Its certificate fails, with a sentence; the other one is installed, to a number."""
    other = host.live / "other.pem"
    configure(host, combined, 'owner = "999"\ngroup = "998"')
    entry = f'[[certificate]]\nname = "a.example.test"\nkey = "{host.key}"\nprobe = []\nactivate = []\ncheck = []\n'
    entry += f'[certificate.files]\nfullchain = "{other}"\nowner = "nobody-here"\n'
    host.config.write_text(host.config.read_text() + entry)
    issued = host.offer_new()
    host.offer(issued.cert_pem, issued.chain_pem, name="a.example.test")
    host.config.write_text(
        host.config.read_text().replace('"a.example.test"\n', f'"a.example.test"\nnames = ["{NAME}"]\n')
    )
    done = host.run()
    states = {one["name"]: (one["state"], one["detail"]) for one in done.json["certificates"]}
    assert done.code == 1
    assert states[NAME][0] == "unprovable"
    assert states["a.example.test"][0] == "failed"
    assert "there is no user 'nobody-here' on this host" in states["a.example.test"][1]
    assert (combined.stat().st_uid, combined.stat().st_gid, other.exists()) == (999, 998, False)


@pytest.mark.parametrize("order", ["certificate first", "key first", "parameters too"])
def test_a_key_file_that_holds_more(host: Host, combined: Path, order: str) -> None:
    """Of an old combined file as the key only the key goes on: no second certificate, no parameters."""
    key, old = host.key.read_bytes(), host.sign()
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    host.key.write_bytes(
        {
            "certificate first": old.fullchain_pem + b"Bag Attributes\n" + key,
            "key first": key + old.fullchain_pem,
            "parameters too": parameters + key + parameters,
        }[order]
    )
    issued = host.offer_new()
    done = host.run()
    assert done.code == 0, done.err
    assert combined.read_bytes() == issued.fullchain_pem + key
