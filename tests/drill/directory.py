"""Directories and logins."""

import shlex

from tests.drill.daemon import FULLCHAIN, KEY, NAME, ROOTS, SCRIPTS, Daemon, Talk

_KEY = f"/etc/ldap/{NAME}.openldap.key"
_TLS = f"""dn: cn=config
changetype: modify
add: olcTLSCertificateFile
olcTLSCertificateFile: {FULLCHAIN}
-
add: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: {_KEY}
"""
# RFC 4511: two simple binds with neither name nor password; the answer to the second
_BIND = bytes.fromhex("300c 020101 6007 020103 0400 8000")
_BIND_AGAIN = bytes.fromhex("300c 020102 6007 020103 0400 8000")
_TWO_BINDS = Talk(_BIND, _BIND_AGAIN, bytes.fromhex("020102 61"))
OPENLDAP = Daemon(
    "openldap",
    "slapd",
    "slapd",
    0,
    "",
    {},
    probe=(f"ldap://{NAME}", f"ldaps://{NAME}"),
    prepare=(
        SCRIPTS,
        ("cp", "-r", "/lib/systemd/system/slapd.service.d", "/etc/systemd/system/"),
        ("sed", "-i", 's|^SLAPD_SERVICES=.*|SLAPD_SERVICES="ldap:/// ldaps:/// ldapi:///"|', "/etc/default/slapd"),
        ("sh", "-c", f"echo '{_TLS}' | runuser -u openldap -- slapmodify -F /etc/ldap/slapd.d -n 0"),
    ),
    links=("basic.target",),
    verify=("env", f"LDAPTLS_CACERT={ROOTS}", "ldapwhoami", "-x", "-ZZ", "-H", f"ldap://{NAME}"),
    unchecked=True,
    talk=_TWO_BINDS,
    short=True,
)
_RADDB, _RADIUS_KEY, _LOGIN = "/etc/freeradius/3.0", f"/etc/ssl/{NAME}.freeradius.key", "/etc/certfleet/login.conf"
_EAP = ("eapol_test", "-c", _LOGIN, "-s", "testing123", "-t", "10")
_OWN_FILES = f"s|^(.*private_key_file = ).*|\\1{_RADIUS_KEY}|; s|^(.*certificate_file = ).*|\\1{FULLCHAIN}|"
# It counts one without a client certificate for half a minute after its end, and lets a client have 16
_ANY_NUMBER = "s|max_connections = 16|max_connections = 0|; s|^(\\s*)proto = tls|&\\nlimit {\\nmax_connections = 0\\n}|"
# Several clients ask at the same time: each has a file of its own
_SHOWN = f"f=$(mktemp); {shlex.join(_EAP)} -o $f >/dev/null; sed -n '/^.CN={NAME}/,$p' $f; rm $f"
_USERS = 'bob Cleartext-Password := "hello"\n'
_LOGIN_TEXT = (
    'network={\nkey_mgmt=WPA-EAP\neap=TTLS\nidentity="bob"\nanonymous_identity="anonymous"\npassword="hello"\n'
    'ca_cert="/etc/certfleet/roots.pem"\nphase2="auth=PAP"\n}\n'
)
FREERADIUS = Daemon(
    "freeradius",
    "freeradius",
    "freeradius",
    2083,
    "",
    {
        f"{_RADDB}/mods-config/files/authorize": _USERS,
        _LOGIN: _LOGIN_TEXT,
    },
    probe=(f"radsec://{NAME}",),
    prepare=(
        ("ln", "-s", "../sites-available/tls", f"{_RADDB}/sites-enabled/tls"),
        ("sed", "-Ei", _OWN_FILES, f"{_RADDB}/mods-available/eap", f"{_RADDB}/sites-available/tls"),
        ("sed", "-Ei", _ANY_NUMBER, f"{_RADDB}/sites-available/tls"),
    ),
    verify=_EAP,
    shows=f"{_SHOWN}; openssl s_client -connect 127.0.0.1:2083 </dev/null | openssl x509",
)
# What the server reads after its chroot: its modules with their libraries, their files, OpenSSL's configuration
_FILL = """cd /; {
echo etc/passwd; echo etc/group; echo etc/ssl/openssl.cnf; echo etc/ssl/certs/ca-certificates.crt; echo usr/lib/ssl
for folder in etc usr/share usr/lib var/log; do echo "$folder/freeradius"; done
ldd usr/lib/freeradius/*.so | sed -n 's|.*=> /\\([^ ]*\\).*|\\1|p' | sort -u
} | tar --create --dereference --files-from=- | tar --extract --directory="$0"
install -d -o freerad "$0/run/freeradius"; ln -s ../run "$0/var/run"; mkdir "$0/dev"; cp -a /dev/null "$0/dev"
"""
_CHROOT, _SECRET = "/srv/radius", "/etc/certfleet/radius.secret"
_INSIDE = (f"/etc/ssl/{NAME}.crt", f"/etc/ssl/{NAME}.key")
FREERADIUS_IN_A_CHROOT = Daemon(
    "freeradius",
    "freeradius",
    "freeradius",
    0,
    "",
    {
        f"{_CHROOT}{_RADDB}/mods-config/files/authorize": _USERS,
        _LOGIN: _LOGIN_TEXT,
        # Debian's own starts as freerad, who may not chroot, and waits for a word by a socket that is outside
        "/etc/systemd/system/freeradius.service.d/chroot.conf": "[Service]\nUser=root\nGroup=root\nType=exec\n"
        "WatchdogSec=0\n",
    },
    probe=(f"radius://{NAME}?connect=127.0.0.1&secret_file={_SECRET}",),
    live=f"{_CHROOT}{_INSIDE[0]}",
    prepare=(
        (
            *(
                "sed",
                "-Ei",
                f"s|^(.*private_key_file = ).*|\\1{_INSIDE[1]}|; s|^(.*certificate_file = ).*|\\1{_INSIDE[0]}|",
            ),
            f"{_RADDB}/mods-available/eap",
        ),
        ("sed", "-i", f"s|^#\tchroot = .*|\tchroot = {_CHROOT}|", f"{_RADDB}/radiusd.conf"),
        ("install", "-d", _CHROOT),
        ("sh", "-ec", _FILL, _CHROOT),
        ("sh", "-ec", 'umask 077; echo testing123 >"$0"', _SECRET),
    ),
    more=f'[certificate.files]\nfullchain = "{_CHROOT}{_INSIDE[0]}"\n'
    f'[[certificate.combined]]\npath = "{_CHROOT}{_INSIDE[1]}"\nparts = ["key"]\ngroup = "freerad"\nmode = "0640"\n',
    verify=_EAP,
    shows=_SHOWN,
    short=True,
    way="by EAP in a chroot",
)
RADSECPROXY = Daemon(
    "radsecproxy",
    "radsecproxy",
    "radsecproxy",
    2083,
    "",
    {
        "/etc/radsecproxy.conf": "listenTLS 127.0.0.1:2083\ntls default {\nCACertificateFile /etc/certfleet/roots.pem\n"
        f"certificateFile {FULLCHAIN}\ncertificateKeyFile /etc/ssl/{NAME}.radsecproxy.key\n}}\n"
        "client 127.0.0.1 {\ntype tls\nsecret radsec\ncertificateNameCheck off\n}\n"
        'realm * {\nreplymessage "User unknown"\n}\n'
    },
    probe=(f"radsec://{NAME}",),
    unchecked=True,
)
_DOMAIN = ("--realm=EXAMPLE.TEST", "--domain=EXAMPLE", "--adminpass=Drill-2026", "--server-role=dc")
_OF_THE_DOMAIN = {
    "tls certfile": FULLCHAIN,
    "tls keyfile": KEY,
    "tls cafile": "/etc/certfleet/roots.pem",
    "interfaces": "lo",
    "bind interfaces only": "yes",
    "vfs objects": "dfs_samba4 acl_xattr xattr_tdb",  # its own attributes: a tmpfs has no user's
}
SAMBA = Daemon(
    "samba",
    "samba-ad-dc",
    "samba-ad-dc",
    0,
    "",
    {},
    probe=(f"ldaps://{NAME}", f"ldap://{NAME}"),
    prepare=(
        ("rm", "/etc/samba/smb.conf"),
        (
            *("samba-tool", "domain", "provision", *_DOMAIN, "--dns-backend=NONE", "--host-name=www"),
            *(f"--option={name}={value}" for name, value in _OF_THE_DOMAIN.items()),
        ),
    ),
    unchecked=True,
    talk=_TWO_BINDS,
    settle="15s",
)
DIRECTORY = (OPENLDAP, FREERADIUS, FREERADIUS_IN_A_CHROOT, RADSECPROXY, SAMBA)
