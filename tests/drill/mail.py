"""Mail servers."""

from tests.drill.daemon import FULLCHAIN, KEY, NAME, ROOTS, SCRIPTS, Daemon, Talk, in_place_of

_SMTP = (f"smtp://{NAME}", f"submission://{NAME}", f"smtps://{NAME}")
_QUIT = Talk(b"EHLO client.example.test\r\n", b"QUIT\r\n", b"\r\n221 ")
_MAIL = ("--mail-from", f"postmaster@{NAME}", "--mail-rcpt", "root@localhost", "--upload-file", "/etc/hostname")
_POSTFIX_LIVE = f"/etc/ssl/private/{NAME}.postfix.pem"
POSTFIX = Daemon(
    "postfix",
    "postfix",
    "postfix@-",
    0,
    "postmulti -i - -p reload",
    {},
    probe=_SMTP,
    live=_POSTFIX_LIVE,
    prepare=(
        ("postconf", "-e", f"smtpd_tls_chain_files = {_POSTFIX_LIVE}", "smtpd_tls_security_level = may"),
        ("postconf", "-M", "submission/inet=submission inet n - y - - smtpd"),
        ("postconf", "-M", "submissions/inet=submissions inet n - y - - smtpd"),
        ("postconf", "-P", "submissions/inet/smtpd_tls_wrappermode=yes"),
        ("newaliases",),
        ("/lib/systemd/system-generators/postfix-instance-generator", "/etc/systemd/system"),
    ),
    front="postfix",
    links=("postfix.service", "postfix@.service"),
    verify=("curl", "-fsS", "--ssl-reqd", "--cacert", ROOTS, *_MAIL, f"smtp://{NAME}:25"),
    unchecked=True,
    talk=_QUIT,
    short=True,
)
_SSL_CONF = "/etc/dovecot/conf.d/10-ssl.conf"
DOVECOT = Daemon(
    "dovecot",
    "dovecot-core",
    "dovecot",
    0,
    "doveadm reload",
    {"/etc/dovecot/conf.d/99-lmtp.conf": "service lmtp {\n  inet_listener lmtp {\n    port = 24\n  }\n}\n"},
    probe=(
        f"imaps://{NAME}",
        f"imap://{NAME}",
        f"pop3s://{NAME}",
        f"pop3://{NAME}",
        f"sieve://{NAME}",
        f"lmtp://{NAME}",
    ),
    prepare=(("sed", "-i", f"s|^ssl_cert = .*|ssl_cert = <{FULLCHAIN}|;s|^ssl_key = .*|ssl_key = <{KEY}|", _SSL_CONF),),
    loses=True,
    unchecked=True,
    talk=Talk(b"a CAPABILITY\r\n", b"b LOGOUT\r\n", b"b OK"),
)
_EXIM_LIVE = f"/etc/ssl/{NAME}.exim.pem"
EXIM = Daemon(
    "exim",
    "exim4-daemon-light",
    "exim4",
    0,
    "",
    {
        "/etc/exim4/exim4.conf.localmacros": f"MAIN_TLS_ENABLE = yes\nMAIN_TLS_CERTKEY = {_EXIM_LIVE}\n"
        "daemon_smtp_ports = smtp : submission : submissions\ntls_on_connect_ports = 465\n"
    },
    probe=_SMTP,
    live=_EXIM_LIVE,
    prepare=(in_place_of("postfix", "exim4-config", "exim4-base", "exim4-daemon-light"), SCRIPTS),
    links=("basic.target",),
    fresh=True,
    untold=True,
    unchecked=True,
    talk=_QUIT,
)
MAIL = (POSTFIX, DOVECOT, EXIM)
