"""Message brokers, chat and telephony."""

from tests.drill.daemon import FULLCHAIN, NAME, SCRIPTS, Daemon, Talk, appended, shown_after

MOSQUITTO = Daemon(
    "mosquitto",
    "mosquitto",
    "mosquitto",
    8883,
    "kill -HUP $MAINPID",
    {
        "/etc/mosquitto/conf.d/tls.conf": f"listener 8883\nallow_anonymous true\ncertfile {FULLCHAIN}\n"
        f"keyfile /etc/ssl/{NAME}.mosquitto.key\n"
    },
    unchecked=True,
    # CONNECT and PINGREQ of MQTT 3.1.1 (OASIS), which is answered by PINGRESP
    talk=Talk(bytes.fromhex("1011 0004 4d515454 04 02 003c 0005") + b"drill", b"\xc0\x00", b"\xd0\x00"),
)
_STREAM = (
    f"<stream:stream to='{NAME}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
_CHAT = Talk(_STREAM.encode(), b"</stream:stream>", b"</stream:stream>")
PROSODY = Daemon(
    "prosody",
    "prosody",
    "prosody",
    0,
    "",
    {
        "/etc/prosody/conf.d/site.cfg.lua": f'VirtualHost "{NAME}"\n'
        f'ssl = {{ certificate = "{FULLCHAIN}"; key = "/etc/ssl/{NAME}.prosody.key" }}\n'
    },
    probe=(f"xmpp://{NAME}",),
    tool=("/usr/bin/prosodyctl", "reload"),
    shows=shown_after("xmpp", 5222),
    unchecked=True,
    talk=_CHAT,
)
COTURN = Daemon(
    "coturn",
    "coturn",
    "coturn",
    5349,
    "",
    {},
    prepare=(
        appended("/etc/turnserver.conf", f"cert={FULLCHAIN}", f"pkey=/etc/ssl/{NAME}.coturn.key"),
        appended("/etc/turnserver.conf", "listening-ip=127.0.0.1"),
    ),
    tool=("/usr/bin/systemctl", "kill"),
    unchecked=True,
    # a Binding request, whose magic cookie and transaction stand in the answer (RFC 8489 §5)
    talk=Talk(b"", bytes.fromhex("0001 0000 2112a442") + b"drill-drill-", bytes.fromhex("2112a442") + b"drill-drill-"),
)
# Start-Ok of a guest, which is answered by Tune (AMQP 0-9-1 §4.2.3, §1.4)
_GUEST = bytes.fromhex("000a000b 00000000 05") + b"PLAIN" + bytes.fromhex("0000000c") + b"\0guest\0guest\x05en_US"
_START_OK = b"\x01\0\0" + len(_GUEST).to_bytes(4, "big") + _GUEST + b"\xce"
RABBITMQ = Daemon(
    "rabbitmq",
    "rabbitmq-server",
    "rabbitmq-server",
    5671,
    "",
    {
        "/etc/rabbitmq/rabbitmq.conf": f"listeners.ssl.default = 5671\nssl_options.certfile = {FULLCHAIN}\n"
        f"ssl_options.keyfile = /etc/ssl/{NAME}.rabbitmq.key\nssl_options.verify = verify_none\n"
        "handshake_timeout = 600000\n",  # of its ten seconds an install beside other work may take more
        # Not by itself every two minutes, in the midst of a fault by which it keeps the old one
        "/etc/rabbitmq/advanced.config": "[{ssl, [{ssl_pem_cache_clean, 3600000}]}].\n",
    },
    tool=("/usr/bin/setpriv", "--reuid=rabbitmq"),
    links=("rabbitmq-server.service", "epmd.service", "epmd.socket"),
    unchecked=True,
    talk=Talk(b"AMQP\0\0\x09\x01", _START_OK, bytes.fromhex("000a001e")),
)
_EJABBERD_LIVE, _EJABBERD_YML = f"/etc/ssl/{NAME}.ejabberd.pem", "/etc/ejabberd/ejabberd.yml"
EJABBERD = Daemon(
    "ejabberd",
    "ejabberd",
    "ejabberd",
    5223,
    "/usr/sbin/ejabberdctl reload_config",
    {},
    probe=(f"xmpp://{NAME}", f"tls://{NAME}:5223", f"https://{NAME}:5443"),
    live=_EJABBERD_LIVE,
    prepare=(
        ("sed", "-i", f"s|- localhost$|- {NAME}|; s|/etc/ejabberd/ejabberd.pem|{_EJABBERD_LIVE}|", _EJABBERD_YML),
    ),
    links=("ejabberd.service", "epmd.service", "epmd.socket"),
    unchecked=True,
    talk=_CHAT,
)
_MUMBLE_KEY = f"/etc/ssl/{NAME}.mumble.key"
MUMBLE = Daemon(
    "mumble",
    "mumble-server",
    "mumble-server",
    64738,
    "",
    {},
    prepare=(
        SCRIPTS,
        ("sed", "-i", f"1i autobanAttempts=0\\nsslCert={FULLCHAIN}\\nsslKey={_MUMBLE_KEY}", "/etc/mumble-server.ini"),
    ),
    links=("basic.target",),
    tool=("/usr/bin/pkill", "-USR1"),
    unchecked=True,
    talk=Talk(b"", bytes.fromhex("0002 00000007 0a05") + b"drill", b"Welcome to this server"),  # a login as `drill`
)
MESSAGING = (MOSQUITTO, PROSODY, EJABBERD, COTURN, RABBITMQ, MUMBLE)
