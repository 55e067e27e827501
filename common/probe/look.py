"""The certificate that one address shows in a handshake. It is looked at, not believed."""

import contextlib
import socket
import ssl
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from common.deadline import Deadline
from common.probe.addresses import Address, is_of_this_host
from common.probe.hello import version_of, wants_client_certificate
from common.probe.starttls import Refused, wire_for_tls
from common.probe.target import ProbeTarget
from common.probe.view import NO_ANSWER, KeyType, Seen, View, key_type_of
from common.probe.wire import Silent, Unasked, Wire

if TYPE_CHECKING:
    from common.probe.eap import EapWire

_AUTHENTICATED_BY: dict[KeyType, str] = {"rsa": "aRSA", "ecdsa": "aECDSA"}  # see openssl-ciphers(1)
_OLD_RENEGOTIATION = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT, for services from before RFC 5746; Python names it since 3.12


class _Failed(Exception):
    """The service took the connection and showed no certificate. The text says why; *tls_alert*: OpenSSL's reason, such
    as an alert of the service, "" where none was given."""

    def __init__(self, why: str, tls_alert: str = ""):
        super().__init__(why)
        self.tls_alert = tls_alert


def why(error: OSError | UnicodeError) -> str:
    """The reason as the operating system or the resolver gives it; NO_ANSWER for a timeout."""
    return NO_ANSWER if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)


def look(target: ProbeTarget, address: Address, server_name: str, seconds: float, key_type: KeyType = "") -> View:
    """One look, which ends after *seconds* at the latest. Never raises an OSError. *server_name* is asked for by SNI
    (RFC 6066 §3); "" asks for none.

    A service may have a certificate for each type of key, and clients get the one that it prefers. If that one has
    another *key_type*, a second handshake offers only ciphers of the wanted type. TLS 1.3 has no such ciphers, so this
    handshake offers TLS 1.2 at most. A service that speaks TLS 1.3 alone is asked by a handshake of our own, which
    stops when it has seen the certificate.
    """
    deadline = Deadline(seconds)
    view = _viewed(target, address, server_name, deadline)
    if view.seen is not Seen.SERVED or not key_type or key_type_of(view.shown[0]) in {key_type, ""}:
        return view
    try:
        return _shown(target, address, server_name, deadline, key_type)
    except _Failed as failed:
        if failed.tls_alert != "TLSV1_ALERT_PROTOCOL_VERSION":
            return view  # it has no other
    except OSError:
        return view
    return _in_tls_1_3(target, address, server_name, deadline, key_type)


def _in_tls_1_3(target: ProbeTarget, address: Address, server_name: str, deadline: Deadline, key_type: KeyType) -> View:
    """The view of a service that speaks TLS 1.3 alone; UNKNOWN where it shows no certificate with that type of key."""
    from common.probe.staple import NotSeen, stapled  # noqa: PLC0415 - 0.1 s, for few

    try:
        answered = stapled(target, address, server_name, deadline.left(), key_type)
    except (NotSeen, TimeoutError) as error:
        why_not = str(error)
    else:
        if answered.shown and key_type_of(answered.shown[0]) == key_type:
            return View(Seen.SERVED, "", answered.shown, "TLSv1.3")
        why_not = "it shows another one"
    problem = f"it speaks TLS 1.3 alone and shows no {key_type.upper()} certificate ({why_not})"
    return View(Seen.UNKNOWN, problem, listens=True)


def _viewed(target: ProbeTarget, address: Address, server_name: str, deadline: Deadline) -> View:
    try:
        return _shown(target, address, server_name, deadline)
    except _Failed as failed:
        return View(Seen.NO_TLS, str(failed))
    except (ConnectionError, TimeoutError) as error:
        return View(Seen.DOWN, why(error))
    except Silent as error:  # here a closed port would refuse (by ICMP); elsewhere a firewall may swallow the refusal
        return View(Seen.UNKNOWN, why(error), listens=is_of_this_host(address))
    except OSError as error:  # no route, no such family on this host: nobody was asked
        return View(Seen.UNKNOWN, why(error))


def _shown(target: ProbeTarget, address: Address, server_name: str, deadline: Deadline, key_type: KeyType = "") -> View:
    """The view over a new connection. Raises OSError if none can be made, _Failed if it shows no certificate."""
    family, where = address
    with socket.socket(family, socket.SOCK_DGRAM if target.login else socket.SOCK_STREAM) as plain:
        plain.settimeout(deadline.left())
        plain.connect(where)
        try:
            if target.login:
                from common.probe.eap import EapWire  # noqa: PLC0415 - packets of RADIUS, for a RADIUS server only

                eap = EapWire(plain, deadline, target.login)
                eap.begin()
                return _handshake(eap, "", key_type)  # supplicants ask for no name
            return _handshake(wire_for_tls(target, plain, deadline, server_name), server_name, key_type)
        except (Unasked, ConnectionRefusedError):  # of UDP, whose connect() asks nobody: the refusal comes only now
            raise
        except Refused as refused:
            raise _Failed(str(refused)) from refused
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            raise _Failed(f"no TLS handshake ({reason})", reason) from error
        except (OSError, ValueError) as error:  # ValueError: a server name that TLS cannot carry
            raise _Failed(why(error) if isinstance(error, OSError) else str(error)) from error


def _handshake(wire: "Wire | EapWire", server_name: str, key_type: KeyType) -> View:
    """Shake hands, and carry the bytes ourselves. With a socket, OpenSSL could read tiny records for ever within one
    call, and the time limit would never count."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _lenient_context(key_type).wrap_bio(incoming, outgoing, server_hostname=server_name or None)
    received, began = b"", time.monotonic()
    try:
        while not _is_done(tls):
            wire.send(outgoing.read())
            data = wire.some()
            received += data
            incoming.write(data) if data else incoming.write_eof()
        wire.send(outgoing.read())
    except (ssl.SSLError, ConnectionError) as error:
        # the service has shown its certificate, and proven its key, before it looked at ours
        if not (_is_peers(error) and wants_client_certificate(received)):
            raise
    shown = _certificates(tls)
    if not shown:
        raise _Failed("it shows no certificate")
    return View(Seen.SERVED, "", shown, tls.version() or version_of(received), time.monotonic() - began)


def _is_done(tls: ssl.SSLObject) -> bool:
    """Take the next step of the handshake. Has it come to its end?"""
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
        return True
    return False


def _is_peers(error: OSError) -> bool:
    """Was it the peer that ended the handshake, by an alert or without a word?"""
    if isinstance(error, ssl.SSLError):
        ended = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        return ended or "_ALERT_" in (error.reason or "")
    return True


def _certificates(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """All that the peer has shown. Python has a public way since 3.13; 3.11 and 3.12 have the same one below."""
    if sys.version_info >= (3, 13):
        return tuple(tls.get_unverified_chain())
    below: Any = tls
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in below._sslobj.get_unverified_chain() or ())


@cache
def _lenient_context(key_type: KeyType) -> ssl.SSLContext:
    """A context that takes whatever is served, with old protocols and weak keys too. It offers no cipher that works
    without a certificate: some services would prefer that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"{_AUTHENTICATED_BY.get(key_type, 'ALL')}:!aNULL:!eNULL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    if key_type:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OLD_RENEGOTIATION
    return context
