"""TLS in front of something else, DNS over TLS, and a small web server."""

from tests.drill.daemon import FULLCHAIN, HTTP, KEY, NAME, SCRIPTS, Daemon

STUNNEL = Daemon(
    "stunnel",
    "stunnel4",
    "stunnel4",
    8443,
    "kill -HUP $(cat /run/stunnel4/web.pid)",
    {
        "/etc/stunnel/web.conf": "pid = /run/stunnel4/web.pid\n[web]\naccept = 127.0.0.1:8443\n"
        f"connect = 127.0.0.1:80\ncert = /etc/ssl/private/{NAME}.stunnel.pem\n"
    },
    probe=(f"tls://{NAME}:8443",),
    live=f"/etc/ssl/private/{NAME}.stunnel.pem",
    prepare=(SCRIPTS,),
    links=("stunnel.target",),
    loses=True,
    unchecked=True,
)
UNBOUND = Daemon(
    "unbound",
    "unbound",
    "unbound",
    853,
    "",
    {
        "/etc/unbound/unbound.conf.d/dot.conf": f'server:\ninterface: 127.0.0.1@853\ntls-service-pem: "{FULLCHAIN}"\n'
        f'tls-service-key: "/etc/ssl/{NAME}.unbound.key"\n'
    },
    unchecked=True,
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
PROXIES = (STUNNEL, UNBOUND, LIGHTTPD)
