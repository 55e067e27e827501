"""Is a certificate revoked? Its issuer's lists (CRL, RFC 5280 §5) and responder (OCSP, RFC 6960) are asked, by http.

Decisions are pure functions over bytes and a clock; :mod:`common.revocation.fetch` alone touches the network. Three
signals stay apart: who was asked, whether an answer that counts is available, and whether it says revoked. A
source that cannot be reached, is stale or out of scope leaves the certificate "unknown", and never "good".
"""

from common.revocation.ask import Limits as Limits
from common.revocation.ask import ask as ask
from common.revocation.fetch import Kept as Kept
from common.revocation.state import Revocation as Revocation
from common.revocation.state import Status as Status
