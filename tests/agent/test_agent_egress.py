"""egress of an agent: what the firewall before a host must let through, by what stands on it."""

import socket
from contextlib import closing

from tests.agent.host import NAME, Host
from tests.servers.authority import asked_at


def test_what_a_host_needs(host: Host) -> None:
    """Its source, its mail server, hosts that it works on over SSH, its resolver, and what its live certificate names;
    of its sockets those that are on another machine, and all of another host. A silent one makes it exit 1."""
    with closing(socket.create_server(("127.0.0.1", 0))) as database:
        port = database.getsockname()[1]
        host.authority.added = asked_at(ocsp="http://127.0.0.1:9/")
        issued = host.sign()
        host.fullchain.write_bytes(issued.fullchain_pem)
        host.configure(
            source=f'url = "mysql://agent@127.0.0.1:{port}/certfleet"',
            probe=[f"https://{NAME}?connect=127.0.0.1:8443", f"https://{NAME}?connect=192.0.2.1:8443"],
            more='[[certificate]]\nname = "esxi.example.test"\nkey = "/etc/rui.key"\n'
            'probe = ["https://esxi.example.test?connect=127.0.0.1:8444"]\n'
            'host = "ssh://root@[2001:db8::1]:2222"\n'
            'ssh_key_file = "/root/id"\nssh_host_keys = "/root/known"\n'
            '[certificate.files]\nfullchain = "/etc/rui.crt"\n'
            '[notify]\nemail_to = ["noc@example.test"]\nsmtp_host = "127.0.0.1"\nsmtp_port = 9\n',
        )
        done = host.agent("egress", "--json")
        listed = host.agent("egress", "--format", "nftables")
    document = done.json
    found = {(one["host"], one["port"]): one for one in document["out"]}
    assert found["127.0.0.1", port]["why"] == ["database"]
    assert (found["127.0.0.1", port]["well"], found["127.0.0.1", port]["ipv4"]) == (True, "reachable")
    assert found["127.0.0.1", 9]["why"] == ["mail", "OCSP of 1 certificate"]
    assert found["2001:db8::1", 2222]["why"] == ["host without an agent"]
    assert found["192.0.2.1", 8443]["why"] == ["proof of https"]
    assert ("127.0.0.1", 8443) not in found
    assert found["127.0.0.1", 8444]["why"] == ["proof of https"]
    assert any(one["port"] == 53 and one["why"] == ["resolver"] for one in document["out"])
    assert (document["in"], done.code, listed.code) == ([], 1, 1)
    assert "certfleet-issuer egress" in document["notes"][0]
    assert f"add element inet filter certfleet_out4 {{ 127.0.0.1 . tcp . {port} }}" in listed.out
