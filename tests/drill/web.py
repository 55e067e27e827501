"""Web servers and proxies."""

from tests.drill.daemon import FULLCHAIN, HTTP, KEY, NAME, Daemon

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
    short=True,
)
WEB = (NGINX, APACHE, HAPROXY)
