"""Certificates, requests and keys in DER, octet by octet: such as no library makes."""

import ssl

PRIME = 2**4423 - 1  # to prove it takes seconds; 2**44497 - 1, in a cell of 40 kB, takes hours
PKCS3, X942 = "06092a864886f70d010301", "06072a8648ce3e0201"
ECDSA, RSA, DSA = "06082a8648ce3d040302", "06092a864886f70d010101", "06072a8648ce380401"
RSA_PSS = "06092a864886f70d01010a"
ED25519_KEY = bytes.fromhex("302a300506032b6570032100") + bytes(range(32))


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, size] if size < 0x80 else [tag, 0x80 | len(octets), *octets]) + content


def sequence(*parts: bytes) -> bytes:
    return element(0x30, *parts)


def integer(number: int) -> bytes:
    return element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def diffie_hellman(algorithm: str = PKCS3, prime: int = PRIME) -> bytes:
    """A public key; of X9.42 with an order of its group."""
    numbers = [prime, 2] if algorithm == PKCS3 else [prime, 2, 2**521 - 1]
    parameters = sequence(*map(integer, numbers))
    return sequence(sequence(bytes.fromhex(algorithm), parameters), element(0x03, b"\0", integer(5)))


def certificate(key: bytes, algorithm: str = ECDSA, issuer: str = "CA", name: str = "www.example.test") -> bytes:
    """For that *key* (SubjectPublicKeyInfo), signed with an *algorithm* without parameters by nobody."""
    dates = sequence(element(0x17, b"260101000000Z"), element(0x17, b"270101000000Z"))
    by = sequence(bytes.fromhex(algorithm))
    return _signed(sequence(element(0xA0, integer(2)), integer(5), by, _name(issuer), dates, _name(name), key), by)


def certificate_pem(key: bytes, algorithm: str = ECDSA) -> bytes:
    """The same in PEM."""
    return ssl.DER_cert_to_PEM_cert(certificate(key, algorithm)).encode()


def request(key: bytes) -> bytes:
    """For that *key*."""
    unsigned = sequence(integer(0), _name("www.example.test"), key, element(0xA0))
    return _signed(unsigned, sequence(bytes.fromhex(ECDSA)))


def private_key(algorithm: str, *numbers: int) -> bytes:
    """As PKCS #8 wraps it, or without an algorithm as PKCS #1, DSA and SEC 1 have it."""
    bare = sequence(integer(0), *map(integer, numbers))
    if not algorithm:
        return bare
    return sequence(integer(0), sequence(bytes.fromhex(algorithm), b"\x05\0"), element(0x04, bare))


def _signed(content: bytes, algorithm: bytes) -> bytes:
    return sequence(content, algorithm, element(0x03, b"\0", sequence(integer(1), integer(1))))


def _name(common: str) -> bytes:
    return sequence(element(0x31, sequence(bytes.fromhex("0603550403"), element(0x0C, common.encode()))))
