"""The Keys of ``agent.journey.ports`` on another host. Keys never leave it: its own openssl shows the public half."""

import re
import shlex
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agent.host.keys import csr_facts, not_for_services, public_half
from agent.model.certificate import Keystore
from agent.model.host_key import HostKey
from agent.remote.session import Session
from agent.remote.shell import PUBLIC
from common.errors import ConfigError, FileError, Finding, RefusedError
from common.names import common_name, is_address

_NO_PROGRAM = 127  # the exit code of a shell that does not find a program
_ABSENT = 44  # the exit code of our script where there is no key
_OCTAL = re.compile(rb"[0-7]+")
_PUBLIC = "[ -f {0} ] || exit {1}; stat -L -c %a {0} && " + PUBLIC
_KINDS = {"ecdsa-p256": "EC -pkeyopt ec_paramgen_curve:P-256", "ecdsa-p384": "EC -pkeyopt ec_paramgen_curve:P-384"}
# the key gets its name when it is whole, and takes that of no other file
_MAKE = """umask 077; new={temporary}; mkdir -p {folder} && trap 'rm -f "$new"' EXIT || exit 1
openssl genpkey -algorithm {kind} -out "$new" && set -C && : > {key} && mv -f "$new" {key}"""
_SELF_SIGNED = "cat | openssl req -new -x509 -sha256 -days {days} -batch -key {key} -config /dev/stdin"
_INTERIM = """[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = certfleet interim certificate
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = {names}
"""
# `cat`: sshd may hand over a socket, which /dev/stdin cannot open
_REQUEST = "cat | openssl req -new -{digest} -batch -key {key} -subj /{subject} -config /dev/stdin"
_WISHES = """[req]
prompt = no
distinguished_name = subject
req_extensions = extensions
[subject]
[extensions]
subjectAltName = {critical}{names}
"""


class RemoteKeys:
    """*session*: the host that the keys are on. *types*: those of the keys that were loaded, by file."""

    def __init__(self, session: Session):
        self._session = session
        self.types: dict[Path, str] = {}

    def load(self, file: Path) -> HostKey:
        ended = self._session.execute(_PUBLIC.format(shlex.quote(str(file)), _ABSENT))
        where = f"{file} on {self._session.name}"
        if ended.code == _ABSENT:
            hint = "`certfleet-agent request NAME` makes it there, or name the one that there is as `key`"
            if self._session.user != "root":
                hint += f"; {self._session.user} must be able to look into its folders"
            raise ConfigError(where, [Finding("", "there is no such key")], hint=hint)
        mode, _, public = ended.out.partition(b"\n")
        is_told = _OCTAL.fullmatch(mode) is not None
        if not is_told or ended.code == _NO_PROGRAM:
            hint = "install the program openssl on that host" if is_told else "`stat -L -c %a` must tell its mode there"
            raise RefusedError(f"the key {where} cannot be looked at", why=ended.said, hint=hint)
        if int(mode, 8) & (stat.S_IRWXO | stat.S_IWGRP):
            problem = f"holds a secret but its mode is {int(mode, 8):04o}"
            raise ConfigError(where, [Finding("", problem)], hint=f"chmod 0600 {file} there (0640 at most)")
        try:
            key = load_pem_public_key(public)
        except (ValueError, UnsupportedAlgorithm) as error:
            hint = "a PEM file with one private key is expected, without a password"
            raise RefusedError(f"the key {where} cannot be read", why=ended.said, hint=hint) from error
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise not_for_services(file)
        found = public_half(key, file, public)
        self.types[file] = found.key_type
        return found

    def is_there(self, file: Path) -> bool:
        at = shlex.quote(str(file))
        return self._session.execute(f"[ -e {at} ] || [ -L {at} ]").code == 0

    def create(self, file: Path, key_type: str) -> HostKey:
        kind = _KINDS.get(key_type) or f"RSA -pkeyopt rsa_keygen_bits:{int(key_type.removeprefix('rsa'))}"
        paths = {"folder": file.parent, "temporary": file.with_name(f".{file.name}.certfleet"), "key": file}
        quoted = {name: shlex.quote(str(path)) for name, path in paths.items()}
        ended = self._session.execute(_MAKE.format(kind=kind, **quoted))
        if ended.code != 0:
            what = f"cannot make the key {file} on {self._session.name}"
            raise FileError(what, why=ended.said, hint="look there at openssl, and at the folder of the key")
        return self.load(file)

    def csr_of(self, file: Path, names: tuple[str, ...]) -> bytes:
        digest = "sha384" if self.load(file).key_type == "ecdsa-p384" else "sha256"
        common = "".join(f"CN={name}" for name in common_name(names))
        wishes = _WISHES.format(critical="" if common else "critical,", names=_alternatives(names))
        script = _REQUEST.format(digest=digest, key=shlex.quote(str(file)), subject=shlex.quote(common))
        ended = self._session.execute(script, stdin=wishes.encode())
        try:
            csr_facts(ended.out)
        except ValueError as error:
            what = f"openssl on {self._session.name} makes no request for {file}"
            raise FileError(what, why=ended.said, hint="make it there by hand, and give it to the issuer") from error
        return ended.out

    def self_signed(self, file: Path, names: tuple[str, ...], days: int) -> bytes:
        self.load(file)
        script = _SELF_SIGNED.format(days=days, key=shlex.quote(str(file)))
        ended = self._session.execute(script, stdin=_INTERIM.format(names=_alternatives(names)).encode())
        if ended.code != 0:
            what = f"openssl on {self._session.name} makes no certificate for {file}"
            raise FileError(what, why=ended.said, hint="make one there by hand")
        return ended.out

    def csr_facts(self, pem: bytes) -> tuple[str, tuple[str, ...]]:
        return csr_facts(pem)

    def keystore(self, store: Keystore, fullchain: bytes, key: HostKey, live: bytes) -> bytes:
        """Raises RefusedError. agent.toml can name no keystore on another host: it would hold the key."""
        raise RefusedError(f"no keystore can be made for the key {key.spki_sha256}", why="the key stays on its host")

    def stored(self, store: Keystore, content: bytes) -> bytes:
        """There is none, as above."""
        return b""


def _alternatives(names: tuple[str, ...]) -> str:
    """The *names* as a configuration of openssl has them (x509v3_config(5))."""
    return ", ".join(f"{'IP' if is_address(name) else 'DNS'}:{name}" for name in names)
