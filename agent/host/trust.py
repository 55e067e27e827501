"""The Trust of ``agent.journey.ports`` on this machine: a client and a server meet in memory, and OpenSSL decides.

The server has the chain and the key that are to be served; the client asks for a name as every client does. So purpose,
dates, signatures, names, name constraints and critical extensions are judged by the rules that clients have, with the
system's clock.
"""

import contextlib
import os
import ssl
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from agent.model.certificate import Anchors
from agent.model.host_key import HostKey
from common.errors import ConfigError, Finding
from common.files import opened_regular
from common.stamps import stamps

_MOST_FLIGHTS = 4  # of each side; TLS 1.2 needs two


def objection(fullchain: bytes, key: HostKey, names: Iterable[str], roots: Anchors) -> str:
    """Why a client that trusts *roots* refuses *fullchain* (PEM) under one of *names*; "" if it takes all.

    *roots*: those of the system's store, a PEM file, or PEM; "none": no client is asked, only whether a server can load
    them. Raises ConfigError for a file that holds none.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        with in_memory(fullchain) as chain_file, in_memory(key.content) as key_file:
            server.load_cert_chain(chain_file, key_file)
    except ssl.SSLError as error:
        return f"a TLS server could not load it ({error.reason or error})"
    if roots == "none":
        return ""
    client = _client_of(roots, _stamp(roots))
    return next((said for name in names if (said := _handshake(client, server, name.replace("*", "www", 1)))), "")


def _stamp(roots: Anchors) -> tuple[object, ...]:
    """Differs when others are to be read."""
    if isinstance(roots, bytes):
        return ()
    system = ssl.get_default_verify_paths()
    file, folder = (roots, None) if isinstance(roots, Path) else (system.cafile, system.capath)
    return (file, folder, tuple(stamps([Path(file)]).values()) if file else None)


@lru_cache(maxsize=4)  # to read the system's store takes 0.02 s, and a host may have hundreds of certificates due
def _client_of(roots: Anchors, _stamped: tuple[object, ...]) -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a CA that is named is trusted, be it a root or not
    if isinstance(roots, bytes):
        client.load_verify_locations(cadata=roots.decode("ascii"))
    elif isinstance(roots, Path):
        refuse_no_roots(roots)
        with opened_regular(roots) as file:
            client.load_verify_locations(cafile=file)
    else:
        client.load_default_certs()
    return client


def refuse_no_roots(file: Path) -> None:
    """Raises ConfigError for a *file* that holds no certificate in PEM."""
    try:
        with opened_regular(file) as path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        problem = getattr(error, "strerror", "") if not isinstance(error, ssl.SSLError) else "no certificate in PEM"
        hint = 'roots is a PEM file with the root of the CA, or "system"'
        raise ConfigError(str(file), [Finding("roots", f"cannot be read: {problem}")], hint=hint) from error


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, serving) * _MOST_FLIGHTS:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except ssl.SSLError as error:
            return f"no TLS handshake ({error.reason or error})"
        if side is asking:
            return ""
    return "no TLS handshake (it does not end)"


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """The path of a file that is on no disk: the library takes certificate and key from files alone."""
    descriptor = os.memfd_create("certfleet")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"
