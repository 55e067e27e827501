"""TLS in front of something else, DNS over TLS, and a small web server."""

import struct

from tests.drill.daemon import FULLCHAIN, HTTP, KEY, NAME, SCRIPTS, Daemon, Talk

STUNNEL = Daemon(
    "stunnel",
    "stunnel4",
    "stunnel4",
    8443,
    "kill -HUP $(cat /run/stunnel4/web.pid)",
    {
        "/etc/stunnel/web.conf": "pid = /run/stunnel4/web.pid\n[web]\naccept = 127.0.0.1:8443\n"
        f"exec = /bin/cat\ncert = /etc/ssl/private/{NAME}.stunnel.pem\n"
    },
    probe=(f"tls://{NAME}:8443",),
    live=f"/etc/ssl/private/{NAME}.stunnel.pem",
    prepare=(SCRIPTS,),
    links=("stunnel.target",),
    loses=True,
    unchecked=True,
    talk=Talk(b"before", b"after", b"after"),  # /bin/cat behind it says the same
)
UNBOUND = Daemon(
    "unbound",
    "unbound",
    "unbound",
    853,
    "",
    {
        "/etc/unbound/unbound.conf.d/dot.conf": f'server:\ninterface: 127.0.0.1@853\ntls-service-pem: "{FULLCHAIN}"\n'
        f'tls-service-key: "/etc/unbound/{NAME}.unbound.key"\n'
    },
    unchecked=True,
)


def _question(number: int) -> bytes:
    """Ask for the address of `localhost`: RFC 1035, sections 4.1 and 4.2.2."""
    message = struct.pack(">6H", number, 0, 1, 0, 0, 0) + b"\x09localhost\0" + struct.pack(">2H", 1, 1)
    return struct.pack(">H", len(message)) + message


_FIRST, _THEN = 0xCAF1, 0xCAF2
BIND_DOT = Daemon(
    "bind-dot",
    "bind9",
    "named",
    853,
    "",
    {
        "/etc/bind/named.conf.options": f'tls site {{ cert-file "{FULLCHAIN}"; key-file "/etc/bind/{NAME}.bind.key";'
        " };\n"
        'options {\n  directory "/var/cache/bind";\n  listen-on port 853 tls site { 127.0.0.1; };\n'
        "  listen-on port 443 tls site http default { 127.0.0.1; };\n};\n"
    },
    probe=(f"tls://{NAME}:853", f"https://{NAME}"),
    tool=("/usr/sbin/rndc", "reconfig"),
    unchecked=True,
    talk=Talk(_question(_FIRST), _question(_THEN), struct.pack(">H", _THEN)),
)
LIGHTTPD = Daemon(
    "lighttpd",
    "lighttpd",
    "lighttpd",
    443,
    "",
    {
        "/etc/lighttpd/conf-enabled/10-ssl.conf": 'server.modules += ( "mod_openssl" )\n'
        f'ssl.pemfile = "{FULLCHAIN}"\nssl.privkey = "{KEY}"\n'
        '$SERVER["socket"] == "0.0.0.0:443" { ssl.engine = "enable" }\n'
    },
    talk=HTTP,
)
_HITCH_LIVE = f"/etc/ssl/{NAME}.hitch.pem"
HITCH = Daemon(
    "hitch",
    "hitch",
    "hitch",
    443,
    "kill -HUP $MAINPID",
    {
        "/etc/hitch/hitch.conf": 'frontend = "[127.0.0.1]:443"\nbackend = "[127.0.0.1]:80"\n'
        f'pem-file = "{_HITCH_LIVE}"\n'
    },
    live=_HITCH_LIVE,
    prepare=(("systemctl", "start", "nginx"),),  # its backend
    loses=True,
    talk=HTTP,
)
PROXIES = (STUNNEL, HITCH, UNBOUND, BIND_DOT, LIGHTTPD)
