"""Databases, whose clients ask for TLS in the protocol of each, and Redis, where TLS begins at once."""

from tests.drill.daemon import FULLCHAIN, NAME, ROOTS, Daemon, Talk, appended, shown_after

_LOGIN = bytes.fromhex("00030000") + b"user\0postgres\0\0"  # StartupMessage; then Query: PostgreSQL 15, §55.7
_QUERY = b"Q" + (19).to_bytes(4, "big") + b"SELECT 47 + 11\0"
# HandshakeResponse41 of somebody unknown, after the SSLRequest: PROTOCOL_41, SSL, SECURE_CONNECTION; no password
_NOBODY = bytes.fromhex("008a0000 00000001 21") + bytes(23) + b"nobody\0\0"
POSTGRESQL = Daemon(
    "postgresql",
    "postgresql",
    "postgresql@15-main",
    0,
    "/usr/bin/pg_ctlcluster --skip-systemctl-redirect 15-main reload",
    {
        "/etc/postgresql/15/main/conf.d/tls.conf": f"ssl = on\nssl_cert_file = '{FULLCHAIN}'\n"
        f"ssl_key_file = '/etc/ssl/{NAME}.postgresql.key'\n"
    },
    probe=(f"postgres://{NAME}",),
    prepare=(
        ("mkdir", "/etc/systemd/system/postgresql.service.wants"),
        (
            "ln",
            "-s",
            "../postgresql@.service",
            "/etc/systemd/system/postgresql.service.wants/postgresql@15-main.service",
        ),
        ("sed", "-i", "1i hostssl all postgres 127.0.0.1/32 trust", "/etc/postgresql/15/main/pg_hba.conf"),
    ),
    front="postgresql",
    links=("postgresql.service", "postgresql@.service"),
    verify=("psql", "-Atc", "SELECT 1", f"host={NAME} user=postgres sslmode=verify-full sslrootcert={ROOTS}"),
    shows=shown_after("postgres", 5432),
    unchecked=True,
    talk=Talk((len(_LOGIN) + 4).to_bytes(4, "big") + _LOGIN, _QUERY, b"58"),
)
MARIADB = Daemon(
    "mariadb",
    "mariadb-server",
    "mariadb",
    0,
    "",
    {
        "/etc/mysql/mariadb.conf.d/90-tls.cnf": f"[mariadbd]\nssl_cert = {FULLCHAIN}\n"
        f"ssl_key = /etc/ssl/{NAME}.mariadb.key\n"
    },
    probe=(f"mysql://{NAME}",),
    tool=("/usr/bin/mariadb", "--batch", "--execute", "FLUSH SSL"),
    shows=shown_after("mysql", 3306),
    unchecked=True,
    talk=Talk(b"", len(_NOBODY).to_bytes(3, "little") + b"\x02" + _NOBODY, b"denied for user 'nobody'"),
)
REDIS = Daemon(
    "redis",
    "redis-server",
    "redis-server",
    6380,
    "",
    {},
    prepare=(
        appended("/etc/redis/redis.conf", "tls-port 6380", "tls-auth-clients no"),
        appended("/etc/redis/redis.conf", f"tls-cert-file {FULLCHAIN}", f"tls-key-file /etc/ssl/{NAME}.redis.key"),
    ),
    tool=("/usr/bin/xargs", "-0"),
    unchecked=True,
    talk=Talk(b"", b"PING\r\n", b"+PONG"),
)
DATABASES = (POSTGRESQL, MARIADB, REDIS)
