"""Message brokers, chat and telephony."""

from tests.drill.daemon import FULLCHAIN, NAME, Daemon, appended, shown_after

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
)
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
)
RABBITMQ = Daemon(
    "rabbitmq",
    "rabbitmq-server",
    "rabbitmq-server",
    5671,
    "",
    {
        "/etc/rabbitmq/rabbitmq.conf": f"listeners.ssl.default = 5671\nssl_options.certfile = {FULLCHAIN}\n"
        f"ssl_options.keyfile = /etc/ssl/{NAME}.rabbitmq.key\nssl_options.verify = verify_none\n"
    },
    tool=("/usr/bin/setpriv", "--reuid=rabbitmq"),
    links=("rabbitmq-server.service", "epmd.service", "epmd.socket"),
    unchecked=True,
)
MESSAGING = (MOSQUITTO, PROSODY, COTURN, RABBITMQ)
