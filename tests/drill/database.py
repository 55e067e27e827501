"""Databases, whose clients ask for TLS in the protocol of each, and Redis, where TLS begins at once."""

from tests.drill.daemon import FULLCHAIN, NAME, ROOTS, Daemon, appended, shown_after

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
    tool=("/usr/bin/xargs", "-d"),
    unchecked=True,
)
DATABASES = (POSTGRESQL, MARIADB, REDIS)
