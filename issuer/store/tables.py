"""The tables as the queries see them. What creates and changes them stands in migrations/.

``certs`` is the legacy table, column for column; the columns below the line are ours, all nullable. Times are epoch
seconds, as the legacy table has them.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

certs = sa.Table(
    "certs",
    metadata,
    sa.Column("name", sa.CHAR(250), primary_key=True),
    sa.Column("enable", sa.CHAR(1)),
    sa.Column("comment", sa.Text),
    sa.Column("certbot", sa.CHAR(1)),
    sa.Column("csr", sa.LargeBinary),
    sa.Column("ca", sa.LargeBinary),
    sa.Column("crt", sa.LargeBinary),
    sa.Column("md5_modulus", sa.CHAR(64)),
    sa.Column("md5_ca", sa.CHAR(64)),
    sa.Column("ts_expire", sa.BigInteger),
    sa.Column("ts_last_update", sa.BigInteger),
    sa.Column("count_fail_update", sa.Integer),
    sa.Column("old_ca", sa.LargeBinary),
    sa.Column("old_crt", sa.LargeBinary),
    sa.Column("webroot_path", sa.Text),
    # --- ours ---
    sa.Column("due_at", sa.BigInteger),  # next moment to look at it: renewal, or the next attempt; NULL: not known yet
    sa.Column("reissue_reason", sa.Text),  # set while somebody wants a new one whether due or not
    sa.Column("last_error", sa.Text),  # why the last attempt failed; NULL after a success
    sa.Column("last_reference", sa.CHAR(60)),  # the kind of that failure
    sa.Column("directory", sa.Text),  # the CA that issued the present certificate
    sa.Column("revoked", sa.CHAR(1)),  # Y: the present certificate, by us
    sa.Column("imported", sa.CHAR(1)),  # Y: from outside, watched but never renewed
    sa.Column("rolled_back", sa.CHAR(64)),  # SHA-256 of the certificate, when it was made older on purpose
    sa.Column("ari_at", sa.BigInteger),  # renewal information, RFC 9773: the moment drawn,
    sa.Column("ari_window", sa.CHAR(50)),  # the window it was drawn in,
    sa.Column("ari_ask_at", sa.BigInteger),  # when to ask again; NULL: the CA offers none, as far as we know
    sa.Column("ari_url", sa.Text),
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.CHAR(250)),
    sa.Column("active_name", sa.CHAR(250)),  # the name while under way, else NULL; unique: one order a certificate
    sa.Column("state", sa.CHAR(12)),
    sa.Column("directory", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("replaces", sa.Text),  # certificate identifier of RFC 9773, when it was sent
    sa.Column("names_sha256", sa.CHAR(64)),
    sa.Column("deadline", sa.BigInteger),  # of the present state; NULL: none
    sa.Column("lease_owner", sa.CHAR(64)),
    sa.Column("lease_until", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("updated_at", sa.BigInteger),
)

challenges = sa.Table(
    "challenges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", sa.Integer),
    sa.Column("type", sa.CHAR(12)),
    sa.Column("identifier", sa.CHAR(253)),
    sa.Column("authorization_url", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("owner", sa.CHAR(253)),  # the name that the TXT record stands at
    sa.Column("zone", sa.CHAR(253)),
    sa.Column("value", sa.Text),
    sa.Column("created_at", sa.BigInteger),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.CHAR(250)),
    sa.Column("sha256", sa.CHAR(64)),
    sa.Column("serial", sa.CHAR(64)),
    sa.Column("issuer", sa.Text),
    sa.Column("not_before", sa.BigInteger),
    sa.Column("not_after", sa.BigInteger),
    sa.Column("crt", sa.LargeBinary),
    sa.Column("ca", sa.LargeBinary),
    sa.Column("stored_at", sa.BigInteger),
    sa.Column("names", sa.Text),  # DNS names, separated by blanks
    sa.Column("names_sha256", sa.CHAR(64)),
    sa.Column("directory", sa.Text),
    sa.Column("revoked", sa.SmallInteger),  # the reason (RFC 5280 §5.3.1); NULL while it is not
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("account", sa.CHAR(64), primary_key=True),
    sa.Column("scope", sa.CHAR(190), primary_key=True),
    sa.Column("until", sa.BigInteger),
    sa.Column("reason", sa.Text),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger),
    sa.Column("name", sa.CHAR(250)),
    sa.Column("event", sa.CHAR(40)),
    sa.Column("detail", sa.Text),
)

installations = sa.Table(
    "installations",
    metadata,
    sa.Column("name", sa.CHAR(250), primary_key=True),
    sa.Column("host", sa.CHAR(250), primary_key=True),
    sa.Column("account", sa.CHAR(80)),
    sa.Column("sha256", sa.CHAR(64)),
    sa.Column("not_after", sa.BigInteger),
    sa.Column("state", sa.CHAR(20)),
    sa.Column("detail", sa.Text),
    sa.Column("ts_report", sa.BigInteger),
)

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("name", sa.CHAR(250), primary_key=True),
    sa.Column("kind", sa.CHAR(24), primary_key=True),
    sa.Column("since", sa.BigInteger),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger),
    sa.Column("name", sa.CHAR(250)),
    sa.Column("kind", sa.CHAR(24)),
    sa.Column("content", sa.Text),  # the event as JSON
    sa.Column("taken_by", sa.CHAR(40)),  # the delivery that sends it just now, so that two issuers do not send it twice
    sa.Column("taken_until", sa.BigInteger),
)
