"""FTP servers; their clients ask for TLS by AUTH TLS."""

from tests.drill.daemon import FULLCHAIN, KEY, NAME, Daemon, Talk, appended, in_place_of, shown_after

LEAF, CHAIN = f"/etc/ssl/certs/{NAME}.crt", f"/etc/ssl/certs/{NAME}.chain.crt"

PROFTPD = Daemon(
    "proftpd",
    "proftpd-core",
    "proftpd",
    0,
    "kill -HUP $MAINPID",
    {
        "/etc/proftpd/conf.d/tls.conf": "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired on\n"
        f"TLSECCertificateFile {LEAF}\nTLSECCertificateKeyFile {KEY}\nTLSCertificateChainFile {CHAIN}\n"
    },
    probe=(f"ftp://{NAME}",),
    live=LEAF,
    shows=shown_after("ftp", 21),
    unchecked=True,
    fresh=True,
    talk=Talk(b"", b"NOOP\r\n", b"200 "),
)
VSFTPD = Daemon(
    "vsftpd",
    "vsftpd",
    "vsftpd",
    0,
    "",
    {},
    probe=(f"ftp://{NAME}",),
    prepare=(
        in_place_of("proftpd-core", "vsftpd"),
        ("sed", "-i", "/^rsa_/d; /^ssl_enable/d", "/etc/vsftpd.conf"),
        appended("/etc/vsftpd.conf", "ssl_enable=YES", "ssl_ciphers=HIGH"),
        appended("/etc/vsftpd.conf", f"rsa_cert_file={FULLCHAIN}", f"rsa_private_key_file={KEY}"),
    ),
    shows=shown_after("ftp", 21),
    unchecked=True,
)
FTP = (PROFTPD, VSFTPD)
