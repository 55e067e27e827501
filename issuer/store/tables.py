"""The tables as the queries see them. What creates and changes them stands in migrations/.

``certs`` is the legacy table, column for column; the columns below the line are ours, all nullable. Times are epoch
seconds, as the legacy table has them.
"""

import sqlalchemy as sa

from issuer.model.enrolment import NEVER_ISSUED
from issuer.store.cells import Number, Octets, Words

metadata = sa.MetaData()

certs = sa.Table(
    "certs",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("enable", Words(1)),
    sa.Column("comment", Words),
    sa.Column("certbot", Words(1)),
    sa.Column("csr", Octets),
    sa.Column("ca", Octets),
    sa.Column("crt", Octets),
    sa.Column("md5_modulus", Words(64)),
    sa.Column("md5_ca", Words(64)),
    sa.Column("ts_expire", Number),
    sa.Column("ts_last_update", Number),
    sa.Column("count_fail_update", Number),
    sa.Column("old_ca", Octets),
    sa.Column("old_crt", Octets),
    sa.Column("webroot_path", Words),
    # --- ours ---
    sa.Column("due_at", Number),  # next moment to look at it: renewal, or the next attempt; NULL: not known yet
    sa.Column("reissue_reason", Words),  # set while somebody wants a new one whether due or not
    sa.Column("last_error", Words),  # the last attempt's failure in one line; NULL after a success
    sa.Column("last_reference", Words(60)),  # its kind,
    sa.Column("last_what", Words),  # and what it consists of; NULL: an earlier version wrote it
    sa.Column("last_why", Words),
    sa.Column("last_hint", Words),
    sa.Column("last_url", Words),
    sa.Column("directory", Words),  # the CA that issued the present certificate
    sa.Column("revoked", Words(1)),  # Y: the present certificate, by us
    sa.Column("imported", Words(1)),  # Y: from outside, watched but never renewed
    sa.Column("rolled_back", Words(64)),  # SHA-256 of the certificate, when it was made older on purpose
    sa.Column("ari_at", Number),  # renewal information, RFC 9773: the moment drawn,
    sa.Column("ari_start", Number),  # the window it was drawn in,
    sa.Column("ari_end", Number),
    sa.Column("ari_window", Words(50)),  # "start-end" of it as an earlier version wrote it; counts until the next draw
    sa.Column("ari_ask_at", Number),  # when to ask again; NULL: the CA offers none, as far as we know
    sa.Column("ari_url", Words),
)

has_certificate = certs.c.ts_expire > NEVER_ISSUED  # found through an index, where a look at crt is not
NEW_ROW = {"ts_expire": NEVER_ISSUED, "ts_last_update": NEVER_ISSUED, "count_fail_update": 0}

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Words(250)),
    sa.Column("active_name", Words(250)),  # the name while under way, else NULL; unique: one order a certificate
    sa.Column("state", Words(12)),
    sa.Column("directory", Words),
    sa.Column("url", Words),
    sa.Column("reason", Words),  # a Cause; an earlier version wrote the words of a wish
    sa.Column("replaces", Words),  # certificate identifier of RFC 9773, when it was sent
    sa.Column("names", Words),  # DNS names in their order, separated by blanks
    sa.Column("deadline", Number),  # of the present state; NULL: none
    sa.Column("lease_owner", Words(64)),
    sa.Column("lease_until", Number),
    sa.Column("error", Words),
    sa.Column("created_at", Number),
    sa.Column("updated_at", Number),
)

challenges = sa.Table(
    "challenges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", Number),
    sa.Column("type", Words(12)),
    sa.Column("identifier", Words(253)),
    sa.Column("authorization_url", Words),
    sa.Column("url", Words),
    sa.Column("owner", Words(253)),  # the name that the TXT record stands at
    sa.Column("zone", Words(253)),
    sa.Column("value", Words),
    sa.Column("created_at", Number),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Words(250)),
    sa.Column("sha256", Words(64)),
    sa.Column("serial", Words(64)),
    sa.Column("issuer", Words),
    sa.Column("not_before", Number),
    sa.Column("not_after", Number),
    sa.Column("crt", Octets),
    sa.Column("ca", Octets),
    sa.Column("stored_at", Number),
    sa.Column("names", Words),  # the same of the certificate
    sa.Column("directory", Words),
    sa.Column("revoked", sa.SmallInteger),  # the reason (RFC 5280 §5.3.1), whatever it is; NULL while it is not
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("account", Words(64), primary_key=True),
    sa.Column("scope", Words(190), primary_key=True),
    sa.Column("until", Number),
    sa.Column("reason", Words),  # what the CA said, in one line
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Number),
    sa.Column("name", Words(250)),
    sa.Column("event", Words(40)),
    sa.Column("detail", Words),
)

installations = sa.Table(
    "installations",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("host", Words(250), primary_key=True),
    sa.Column("account", Words(80)),
    sa.Column("sha256", Words(64)),
    sa.Column("not_after", Number),
    sa.Column("state", Words(20)),
    sa.Column("detail", Words),
    sa.Column("ts_report", Number),
)

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("kind", Words(24), primary_key=True),
    sa.Column("since", Number),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Number),
    sa.Column("name", Words(250)),
    sa.Column("kind", Words(24)),
    sa.Column("content", Words),  # the event as JSON
    sa.Column("taken_by", Words(40)),  # the delivery that sends it just now, so that two issuers do not send it twice
    sa.Column("taken_until", Number),
)
