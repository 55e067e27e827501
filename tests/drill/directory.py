"""Directories and logins."""

import shlex

from tests.drill.daemon import FULLCHAIN, NAME, SCRIPTS, Daemon, Talk

_KEY = f"/etc/ssl/{NAME}.openldap.key"
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
    unchecked=True,
    talk=Talk(_BIND, _BIND_AGAIN, bytes.fromhex("020102 61")),
)
_RADDB, _RADIUS_KEY, _LOGIN = "/etc/freeradius/3.0", f"/etc/ssl/{NAME}.freeradius.key", "/etc/certfleet/login.conf"
_EAP = ("eapol_test", "-c", _LOGIN, "-s", "testing123", "-t", "3")
_OWN_FILES = f"s|^(.*private_key_file = ).*|\\1{_RADIUS_KEY}|; s|^(.*certificate_file = ).*|\\1{FULLCHAIN}|"
# It counts one without a client certificate for half a minute after its end, and lets a client have 16
_ANY_NUMBER = "s|max_connections = 16|max_connections = 0|; s|^(\\s*)proto = tls|&\\nlimit {\\nmax_connections = 0\\n}|"
FREERADIUS = Daemon(
    "freeradius",
    "freeradius",
    "freeradius",
    2083,
    "",
    {
        f"{_RADDB}/mods-config/files/authorize": 'bob Cleartext-Password := "hello"\n',
        _LOGIN: "network={\nkey_mgmt=WPA-EAP\neap=TTLS\n"
        'identity="bob"\nanonymous_identity="anonymous"\npassword="hello"\n'
        'ca_cert="/etc/certfleet/roots.pem"\nphase2="auth=PAP"\n}\n',
    },
    probe=(f"radsec://{NAME}",),
    prepare=(
        ("ln", "-s", "../sites-available/tls", f"{_RADDB}/sites-enabled/tls"),
        ("sed", "-Ei", _OWN_FILES, f"{_RADDB}/mods-available/eap", f"{_RADDB}/sites-available/tls"),
        ("sed", "-Ei", _ANY_NUMBER, f"{_RADDB}/sites-available/tls"),
    ),
    verify=_EAP,
    shows=f"{shlex.join(_EAP)} -o /tmp/eap.pem >/dev/null; sed -n '/^.CN={NAME}/,$p' /tmp/eap.pem; rm -f /tmp/eap.pem"
    f"; openssl s_client -connect 127.0.0.1:2083 </dev/null | openssl x509",
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
DIRECTORY = (OPENLDAP, FREERADIUS, RADSECPROXY)
