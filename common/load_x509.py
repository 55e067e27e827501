"""The one door for certificates and signing requests: bytes in, parsed. No key that costs hours gets past it. Pure."""

from typing import Any

from cryptography import x509

from common.pem import is_der, plain

_DIFFIE_HELLMAN = ("1.2.840.113549.1.3.1", "1.2.840.10046.2.1")  # PKCS #3, X9.42


def load_certificate(block: bytes) -> x509.Certificate:
    """One certificate, in PEM or in DER. Raises one of PARSE_ERRORS of common/certificate.py."""
    found = x509.load_der_x509_certificate(block) if is_der(block) else x509.load_pem_x509_certificate(block)
    refuse_costly_key(found)
    return found


def load_request(content: bytes) -> x509.CertificateSigningRequest:
    """The signing request in a PEM text or in DER. Raises one of PARSE_ERRORS."""
    found = x509.load_der_x509_csr(content) if is_der(content) else x509.load_pem_x509_csr(plain(content))
    refuse_costly_key(found)
    return found


def refuse_costly_key(holder: Any) -> None:
    """Raise ValueError where the key of a certificate or request is for Diffie-Hellman, which signs nothing. Whoever
    asks the library for such a key has it prove a prime of any size: one of 600 bytes stops every thread for seconds,
    one of 3 kB for hours. *holder* is Any: the types of the library do not know of the algorithm of a request."""
    if holder.public_key_algorithm_oid.dotted_string in _DIFFIE_HELLMAN:
        raise ValueError("its key is for Diffie-Hellman")
