"""Web servers and what else is looked at with a browser."""

from tests.drill.daemon import FULLCHAIN, HTTP, KEY, NAME, Daemon, appended

NGINX = Daemon(
    "nginx",
    "nginx",
    "nginx",
    443,
    "nginx -s reload",
    {
        "/etc/nginx/conf.d/site.conf": f"server {{ listen 443 ssl; server_name {NAME};"
        f" ssl_certificate {FULLCHAIN}; ssl_certificate_key {KEY}; }}\n"
    },
    prepare=(("sh", "-c", "rm -f /etc/nginx/sites-enabled/*"),),
    talk=HTTP,
    short=True,
)
APACHE = Daemon(
    "apache",
    "apache2",
    "apache2",
    443,
    "apachectl graceful",
    {
        "/etc/apache2/sites-enabled/site.conf": f"<VirtualHost *:443>\nServerName {NAME}\nSSLEngine on\n"
        f"SSLCertificateFile {FULLCHAIN}\nSSLCertificateKeyFile {KEY}\n</VirtualHost>\n",
        "/etc/apache2/ports.conf": "Listen 443\n",
        "/etc/apache2/conf-enabled/name.conf": "ServerName drill.example.test\n",
    },
    prepare=(("sh", "-c", "rm -f /etc/apache2/sites-enabled/*"), ("a2enmod", "-q", "ssl")),
    unchecked=True,
    talk=HTTP,
    short=True,
)
HAPROXY = Daemon(
    "haproxy",
    "haproxy",
    "haproxy",
    443,
    "kill -USR2 $MAINPID",
    {
        "/etc/haproxy/haproxy.cfg": "global\n  user haproxy\n  group haproxy\n  master-worker\n"
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n"
        f"frontend web\n  bind 127.0.0.1:443 ssl crt /etc/ssl/private/{NAME}.haproxy.pem\n"
        "  http-request return status 204\n"
    },
    live=f"/etc/ssl/private/{NAME}.haproxy.pem",
    talk=HTTP,
)
_TOMCAT_LIVE, _TOMCAT_KEY = f"/etc/ssl/certs/{NAME}.crt", f"/etc/ssl/{NAME}.tomcat.key"
_CONNECTOR = (
    '<Connector port="8443" SSLEnabled="true"><SSLHostConfig>'
    f'<Certificate type="EC" certificateFile="{_TOMCAT_LIVE}" certificateKeyFile="{_TOMCAT_KEY}"'
    f' certificateChainFile="/etc/ssl/certs/{NAME}.chain.crt"/></SSLHostConfig></Connector>'
)
TOMCAT = Daemon(
    "tomcat",
    "tomcat10",
    "tomcat10",
    8443,
    "",
    {},
    live=_TOMCAT_LIVE,
    prepare=(("sed", "-i", f"s|<Service name=.*|&{_CONNECTOR}|", "/etc/tomcat10/server.xml"),),
    unchecked=True,
    talk=HTTP,
    settle="30s",
)
CUPS = Daemon(
    "cups",
    "cups-daemon",
    "cups",
    631,
    "",
    {},
    live=f"/etc/cups/ssl/{NAME}.crt",
    prepare=(appended("/etc/cups/cupsd.conf", f"ServerName {NAME}", f"ServerAlias {NAME}"),),
    links=("cups.service", "cups.socket"),
    fresh=True,
    unchecked=True,
    talk=HTTP,
)
_COCKPIT_HELPERS = tuple(
    f"cockpit-wsinstance-{one}"
    for one in (
        "http.service",
        "http.socket",
        "https-factory.socket",
        "https-factory@.service",
        "https@.service",
        "https@.socket",
    )
)
COCKPIT = Daemon(
    "cockpit",
    "cockpit-ws",
    "cockpit",
    9090,
    "",
    {},
    live="/etc/cockpit/ws-certs.d/90-certfleet.cert",
    front="cockpit.socket",
    links=("cockpit.service", "cockpit.socket", *_COCKPIT_HELPERS),
    tool=("/usr/bin/systemctl", "try-restart"),
    loses=True,  # whoever is in a handshake with the one that ends; the others wait at the socket
)
WEB = (NGINX, APACHE, HAPROXY, TOMCAT, CUPS, COCKPIT)
