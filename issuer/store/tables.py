"""The tables as the queries see them; migrations/ creates and changes them.

``certs`` is the legacy table, column for column, and then our own columns, all nullable. Times are epoch seconds.
"""

import sqlalchemy as sa

from issuer.model.enrolment import NEVER_ISSUED
from issuer.store.cells import Number, NumberOrZero, Octets, Told, Words

metadata = sa.MetaData()

certs = sa.Table(
    "certs",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("enable", Words(1)),
    sa.Column("comment", Told),
    sa.Column("certbot", Words(1)),
    sa.Column("csr", Octets),
    sa.Column("ca", Octets),
    sa.Column("crt", Octets),
    sa.Column("md5_modulus", Words(64)),
    sa.Column("md5_ca", Words(64)),
    sa.Column("ts_expire", Number),
    sa.Column("ts_last_update", NumberOrZero),
    sa.Column("count_fail_update", NumberOrZero),
    sa.Column("old_ca", Octets),
    sa.Column("old_crt", Octets),
    sa.Column("webroot_path", Words),
    # --- ours ---
    sa.Column("validations", Words),  # Validation.ways_text
    sa.Column("due_at", Number),  # of the next attempt or renewal; NULL: not worked out yet
    sa.Column("reissue_reason", Told),  # set while a new certificate is wanted whether due or not
    sa.Column("last_error", Told),  # the last attempt's failure in one line; NULL after a success
    sa.Column("last_reference", Words(60)),  # its kind
    sa.Column("last_what", Told),  # its parts; NULL: an earlier version wrote the line alone
    sa.Column("last_why", Told),
    sa.Column("last_hint", Told),
    sa.Column("last_url", Told),
    sa.Column("last_asked", Told),  # who asked our own servers, by their logs
    sa.Column("directory", Words),  # the CA that issued the present certificate
    sa.Column("account", Words(64)),  # the account there that ordered it, as in holds; NULL: not known
    sa.Column("profile", Words),  # with which it was ordered, "-" for none; NULL: not known
    sa.Column("early", Words(1)),  # Y: it was ordered early, because of a window of the CA
    sa.Column("revoked", Words(1)),  # Y: the present certificate, by us
    sa.Column("imported", Words(1)),  # Y: from outside, never renewed by ACME
    sa.Column("rolled_back", Words(64)),  # SHA-256 of the present certificate after a rollback to it
    sa.Column("statement", Words),  # ours about the present certificate, common/statement.py; NULL: none
    sa.Column("ari_at", Number),  # the moment drawn in the CA's window (RFC 9773)
    sa.Column("ari_start", Number),  # start and end of that window
    sa.Column("ari_end", Number),
    sa.Column("ari_window", Words(50)),  # "START-END" by an earlier version; counts until the next draw
    sa.Column("ari_ask_at", Number),  # of the next question for renewal information; NULL: the CA offers none
    sa.Column("ari_url", Words),
    sa.Column("change_csr", Octets),  # a CSR that waits to take the place of csr; NULL: none
    sa.Column("change_due_at", Number),  # of its next attempt, 0 for at once; NULL: none waits
    sa.Column("change_failures", NumberOrZero),  # in a row
    sa.Column("change_failure", Words),  # of its last attempt, as JSON
    sa.Column("change_validations", Words),  # the validations of its names
    sa.Column("seal", Words),  # of what was enrolled (issuer/model/seal.py); NULL: never sealed
    sa.Column("change_seal", Words),  # of the CSR that waits
    sa.Column("hosts_look_at", Number),  # since when hosts may serve an older one; NULL: all that report serve this one
    sa.Column("audit_at", Number),  # of the next audit; NULL: at the next run
    sa.Column("audit_found", Words(500)),  # the kinds of finding of the last one, separated by blanks
    sa.Column("audit_served", Words(500)),  # the kinds for which a new certificate was ordered
    sa.Column("mute_until", Number),  # until then, and NULL for never:
    sa.Column("mute", Words(20)),  # "replacing", "mails" or both, separated by a blank
    sa.Column("contact", Told),  # a person's words for those who have to act
    sa.Column("renewal_note", Told),
    sa.Column("unapproved", Words),  # a certificate that waits for approval (issuer/model/unapproved.py); NULL: none
    sa.Column("takeover", Number),  # seconds before the end of an imported one, from which on its change is ordered
)
LEGACY_COLUMNS = tuple(certs.columns.keys())[: certs.columns.keys().index("validations")]
YES = ("Y", "y")  # ours, and of scripts that rely on a column whose comparisons ignore case
is_enabled = certs.c.enable.in_(YES)
has_certificate = certs.c.ts_expire > NEVER_ISSUED  # this column has an index, crt has none
NEW_ROW = {"ts_expire": NEVER_ISSUED, "ts_last_update": NEVER_ISSUED, "count_fail_update": 0}

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Words(250)),
    sa.Column("active_name", Words(250)),  # the name while under way, else NULL; unique
    sa.Column("state", Words(12)),
    sa.Column("directory", Words),
    sa.Column("url", Words),
    sa.Column("reason", Words),  # a Cause; earlier versions wrote other words for Cause.WISH
    sa.Column("replaces", Words),  # certificate identifier that was sent to the CA (RFC 9773)
    sa.Column("names", Words),  # DNS names in their order, separated by blanks
    sa.Column("csr_sha256", Words(64)),  # of the PEM text of the CSR that it is for; NULL: an earlier version opened it
    sa.Column("deadline", Number),  # of the present state; NULL: none
    sa.Column("lease_owner", Words(64)),
    sa.Column("lease_until", NumberOrZero),
    sa.Column("error", Told),
    sa.Column("created_at", NumberOrZero),
    sa.Column("updated_at", NumberOrZero),
    sa.Column("seal", Words(80)),  # that an issuer wrote it so (issuer/trust/seals.py); NULL: ended, or never sealed
)

challenges = sa.Table(
    "challenges",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("order_id", Number),
    sa.Column("type", Words(64)),
    sa.Column("identifier", Words(253)),
    sa.Column("authorization_url", Words),
    sa.Column("url", Words),
    sa.Column("owner", Words(253)),  # domain name of the TXT record
    sa.Column("zone", Words(253)),
    sa.Column("value", Words),
    sa.Column("created_at", NumberOrZero),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", Words(250)),
    sa.Column("sha256", Words(64)),
    sa.Column("serial", Words(64)),
    sa.Column("issuer", Words),
    sa.Column("not_before", NumberOrZero),
    sa.Column("not_after", NumberOrZero),
    sa.Column("crt", Octets),
    sa.Column("ca", Octets),
    sa.Column("stored_at", NumberOrZero),
    sa.Column("names", Words),  # DNS names in their order, separated by blanks
    sa.Column("directory", Words),
    sa.Column("revoked", sa.SmallInteger),  # the reason (RFC 5280 §5.3.1); NULL: not revoked
    sa.Column("unapproved", Words(1)),  # Y: it waits, or waited in vain, for approval; no host got it
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("account", Words(64), primary_key=True),
    sa.Column("scope", Words(190), primary_key=True),
    sa.Column("until", NumberOrZero),
    sa.Column("reason", Told),  # what the CA said, in one line
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", NumberOrZero),
    sa.Column("name", Words(250)),
    sa.Column("event", Words(40)),
    sa.Column("detail", Words),
)

installations = sa.Table(
    "installations",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("host", Words(250), primary_key=True),
    sa.Column("account", Words(80), primary_key=True),
    sa.Column("sha256", Words(64)),
    sa.Column("not_after", NumberOrZero),
    sa.Column("state", Words(20)),
    sa.Column("detail", Words),
    sa.Column("ts_report", NumberOrZero),
)

host_alarms = sa.Table(
    "host_alarms",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("host", Words(250), primary_key=True),
    sa.Column("account", Words(80), primary_key=True),
    sa.Column("state", Words(20)),  # the HostState that people were told of
    sa.Column("since", NumberOrZero),
)

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("name", Words(250), primary_key=True),
    sa.Column("kind", Words(24), primary_key=True),
    sa.Column("since", NumberOrZero),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", NumberOrZero),
    sa.Column("name", Words(250)),
    sa.Column("kind", Words(24)),
    sa.Column("content", Words),  # the event as JSON
    sa.Column("taken_by", Words(40)),  # the delivery that sends it now: two issuers must not send it twice
    sa.Column("taken_until", Number),
)

egress = sa.Table(
    "egress",
    metadata,
    sa.Column("host", Words(253), primary_key=True),
    sa.Column("address", Words(45), primary_key=True),
    sa.Column("first_seen", NumberOrZero),
    sa.Column("last_seen", NumberOrZero),
    sa.Column("ttl", Number),  # the longest that a resolver was seen to keep it, in seconds; NULL: nobody said
)
