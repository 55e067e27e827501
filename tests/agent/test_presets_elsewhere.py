"""Presets where a distribution has its own mind: AppArmor, other groups, other names of programs."""

import re
from pathlib import Path

import pytest

from tests.agent.test_presets import certificate, preset, service

CONFINED = {
    "unbound": ("/etc/apparmor.d/usr.sbin.unbound", "/etc/unbound/** r,"),
    "bind-dot": ("/etc/apparmor.d/usr.sbin.named", "/etc/bind/** r,"),
    "openldap": ("/etc/apparmor.d/usr.sbin.slapd", "/etc/ldap/** kr,"),  # Ubuntu alone
}
"""The AppArmor profile of a service, and the line of it that lets the service read the folder of its own files."""
CERTIFICATES = Path("/etc/ssl/certs")  # by abstractions/ssl_certs, which abstractions/nameservice includes


@pytest.mark.parametrize("name", CONFINED)
def test_a_confined_service_may_read_the_files_of_its_preset(name: str) -> None:
    """Its own check is not confined: a key elsewhere passes that, and the restart leaves the service down."""
    profile, rule = CONFINED[name]
    if (file := Path(profile)).exists():
        assert rule in re.split(r"\n\s*", file.read_text(encoding="utf-8"))
    folder = Path(rule.partition("/**")[0])
    for one in certificate(f'service = "{name}"').files:
        assert one.path.parent == (folder if one.holds_key else CERTIFICATES)


def test_mumble_is_told_by_either_name_of_its_process() -> None:
    """It was murmurd before 1.4, and is mumble-server since: a host may have both programs, of which one runs."""
    (command,) = service('service = "mumble"').activate
    assert command[:3] == ("pkill", "-USR1", "-x")  # -x: the pattern is for the whole name
    assert all(re.fullmatch(command[3], name) for name in preset("mumble").processes)


@pytest.mark.parametrize("name", ["bind-dot", "coturn", "exim", "freeradius", "hitch", "mumble", "openldap"])
def test_a_group_that_is_another_one_elsewhere_is_a_trap(name: str) -> None:
    """An owner that a host does not know fails the certificate: who meets that reads what to set."""
    groups = {one.at_first.group for one in certificate(f'service = "{name}"\nprobe = []').files if one.holds_key}
    assert groups - {"", "root"}
    assert any("group" in trap and "set" in trap for trap in preset(name).traps)
