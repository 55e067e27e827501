"""A daemon on the system's resolvers follows the system's file."""

from pathlib import Path

import pytest

from issuer.dns.find import resolvers
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.servers.bind import Bind
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.resolver import Resolver

TARGET = "acme.example.net"


@pytest.mark.soak
def test_a_file_that_changes_after_the_start(box: Box, lab: Lab, tmp_path: Path) -> None:
    """Before the network is up /etc/resolv.conf names nobody who answers: an alias on another server cannot be seen.
    Once the file names a resolver the certificate is issued, without SIGHUP."""
    system = tmp_path / "resolv.conf"
    system.write_text("nameserver 127.0.0.2\n", encoding="ascii")
    lab.bind.dynamic_zone(TARGET, "acme", [f"www.{TARGET}"])
    lab.bind.reconfigure()
    with Bind(tmp_path / "source") as source:
        source.static_zone("example.org", [f"_acme-challenge.www CNAME www.{TARGET}."])
        source.reconfigure()
        everything = Resolver(tmp_path / "both", source.endpoint, {TARGET: lab.bind.endpoint})
        with everything, Pebble(tmp_path / "another", everything.endpoint) as pebble:
            box.trust(pebble)
            del box.document["dns"]["resolvers"]
            box.write(renewal={"retry": ["1s"]})
            name = box.populate("www.example.org")
            where = f"{resolvers.__name__} as r; r._SYSTEM = __import__('pathlib').Path({str(system)!r})"
            with Service(box, prelude=f"import {where}; r.DNS_PORT = {everything.port}") as daemon:
                [failed, *_] = daemon.wait_logged("certificate.failed", seconds=15)
                assert "whether it is an alias cannot be seen either" in str(failed)
                assert box.row(name, "crt") == (None,)
                system.write_text(f"nameserver {everything.address}\n", encoding="ascii")
                daemon.wait_logged("certificate.stored", seconds=30)
                daemon.end()
