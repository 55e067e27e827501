"""What webroot_path may say, and which pinned host keys a file may hold. Pure."""

import base64
import hashlib
import hmac
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.ssh_host_keys import HostKey, host_name, load_pinned_keys, parse_pinned_keys
from issuer.webroot.location import Location, from_journal, parse_location, to_journal

KIND = "ssh-ed25519"
BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(32)
KEY = f"{KIND} {base64.b64encode(BLOB).decode()}"
OTHER = f"{KIND} {base64.b64encode(BLOB[:-1] + b'x').decode()}"
SALT = base64.b64encode(b"s" * 20).decode()
HASHED = base64.b64encode(hmac.digest(b"s" * 20, b"web1.example.test", hashlib.sha1)).decode()


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("/var/www/html", Location("/var/www/html")),
        ("//var//www/html/", Location("/var/www/html")),
        ("sftp://www@web1/var/www", Location("/var/www", "web1", 22, "www")),
        ("sftp://www@Web1.example.test:2222/var/www/", Location("/var/www", "web1.example.test", 2222, "www")),
        ("sftp://www@[2001:db8::1]:22/var/www", Location("/var/www", "2001:db8::1", 22, "www")),
        ("sftp://www@web1/my%20site%3F", Location("/my site?", "web1", 22, "www")),
    ],
)
def test_locations(text: str, location: Location) -> None:
    """Folders of this machine and of others, in one normal form."""
    assert parse_location(text) == location


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("html", "absolute"),
        ("/", "root of the file system"),
        ("/var/../etc", "must not contain .."),
        ("/var/%2e%2e" + "x" * 300, "at most 188"),
        ("/var/www\nhtml", "printable"),
        ("sftp://web1/var/www", "user and host"),
        ("sftp://www@/var/www", "user and host"),
        ("sftp://www@web1", "absolute"),
        ("sftp://www@web1:0/var", "malformed port"),
        ("sftp://www@web1:x/var", "malformed"),
        ("sftp://www@[::1/var", "malformed"),
        ("sftp://www@web1/var/%2e%2e/etc", "must not contain .."),
        ("sftp://www@web1/var%00", "absolute"),
        ("sftp://www@web1/var?x", "%3F"),
        ("scp://www@web1/var", "neither a folder nor an sftp://"),
        ("https://web1/var", "neither a folder nor an sftp://"),
    ],
)
def test_no_locations(text: str, says: str) -> None:
    """What cannot be meant is refused with a sentence."""
    with pytest.raises(ValueError, match=says):
        parse_location(text)


@pytest.mark.parametrize(
    ("text", "noted", "machine"),
    [
        ("/var/www", "issuer1:/var/www", "issuer1"),
        ("//var:/x", "issuer1:/var:/x", "issuer1"),
        ("sftp://www@web1:22/var", "sftp://www@web1:22/var", ""),
    ],
)
def test_what_the_journal_holds(text: str, noted: str, machine: str) -> None:
    """A folder with its machine, and what any issuer can reach as it is; lines without a machine are read too."""
    assert to_journal(text, "issuer1") == noted
    found, webroot = from_journal(noted)
    assert (found, parse_location(webroot)) == (machine, parse_location(text))
    assert from_journal(text) == ("", text)


def test_a_password_is_not_repeated() -> None:
    """Passwords are refused, and the refusal does not print them."""
    with pytest.raises(ValueError, match="holds a password") as caught:
        parse_location("sftp://www:s3cret@web1/var")
    assert "s3cret" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_location_or_refused(text: str) -> None:
    """Nothing but ValueError comes out of a text, and no location leads out of its folder."""
    for candidate in (text, f"sftp://{text}", f"sftp://u@h/{text}"):
        try:
            location = parse_location(candidate)
        except ValueError:
            continue
        assert location.folder.startswith("/")
        assert ".." not in location.folder.split("/")


@pytest.mark.parametrize(
    ("line", "host", "port"),
    [
        (f"web1.example.test {KEY}", "web1.example.test", 22),
        (f"web1.example.test {KEY} with a comment", "WEB1.example.test", 22),
        (f"other,web1.example.test,192.0.2.1 {KEY}", "web1.example.test", 22),
        (f"[web1.example.test]:2222 {KEY}", "web1.example.test", 2222),
        (f"[2001:db8::1]:2222 {KEY}", "2001:db8::1", 2222),
        (f"|1|{SALT}|{HASHED} {KEY}", "web1.example.test", 22),
    ],
)
def test_lines_that_pin(line: str, host: str, port: int) -> None:
    """Plain, listed, hashed, with a port; comments and empty lines aside."""
    pinned = parse_pinned_keys(f"# a comment\n\n{line}\n", "file")
    assert pinned.of(host, port) == [HostKey(KIND, BLOB)]
    assert pinned.of(host, port + 1) == []
    assert pinned.of("elsewhere", port) == []


def test_a_revoked_key_is_no_pin() -> None:
    """A @revoked line takes back the same key for the same host only."""
    text = f"a {KEY}\na {OTHER}\nb {KEY}\n@revoked a {KEY}\n"
    pinned = parse_pinned_keys(text, "file")
    assert pinned.of("a", 22) == [HostKey(KIND, BLOB[:-1] + b"x")]
    assert pinned.of("b", 22) == [HostKey(KIND, BLOB)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"@cert-authority * {KEY}", "not supported"),
        ("@revoked", "is not of the form"),
        (f"*.example.test {KEY}", "name each host"),
        ("a ssh-dss AAAA", "ssh-dss"),
        (f"a {KIND} !!!!", "not base64"),
        (f"a ssh-rsa {KEY.split()[1]}", "not of the type ssh-rsa"),
        ("a", "is not of the form"),
    ],
)
def test_lines_that_are_not_understood(line: str, says: str) -> None:
    """A pin that is silently not read is worse than none: every bad line is named with its number."""
    with pytest.raises(ConfigError, match=says) as caught:
        parse_pinned_keys(f"a {KEY}\n{line}\nnonsense\n", "file")
    assert [finding.path for finding in caught.value.findings] == ["line 2", "line 3"]


@given(st.text())
def test_any_file_of_pins_is_read_or_refused(text: str) -> None:
    """Nothing but ConfigError comes out of a file."""
    for candidate in (text, f"host {KIND} {text}", f"{text} {KEY}"):
        try:
            parse_pinned_keys(candidate, "file").of("host", 22)
        except ConfigError:
            continue


def test_who_may_write_the_pins(tmp_path: Path) -> None:
    """A file of pins that others may change is refused; so is one that is not there."""
    file = tmp_path / "ssh_host_keys"
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pinned_keys(file)
    file.write_text(f"a {KEY}\n", encoding="ascii")
    file.chmod(0o664)
    with pytest.raises(ConfigError, match="0664"):
        load_pinned_keys(file)
    file.chmod(0o644)
    assert load_pinned_keys(file).of("a", 22)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        load_pinned_keys(pipe)


def test_host_names_as_known_hosts_writes_them() -> None:
    """The port stands there only when it is not 22."""
    assert host_name("Web1", 22) == "web1"
    assert host_name("web1", 23) == "[web1]:23"
