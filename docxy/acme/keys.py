"""
Keys and what they sign: requests for certificates, stand-ins, and proofs for TLS-ALPN-01.

Owns no file and no connection.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

from docxy.tls.certificates import CertificatePair, PrivateKey, names_of

STAND_IN = "docxy stand-in: no certificate yet"
"""The common name of a certificate that stands in for one to come."""

_ACME_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 section 3
_CURVES: dict[str, type[ec.EllipticCurve]] = {"ec256": ec.SECP256R1, "ec384": ec.SECP384R1}
_OCTET_STRING = b"\x04\x20"  # in DER, of 32 bytes


def new_key(key_type: str) -> PrivateKey:
    """A new private key: ``ec256``, ``ec384``, or ``rsa`` and its bits."""
    if key_type in _CURVES:
        return ec.generate_private_key(_CURVES[key_type]())
    return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("rsa")))


def type_of(key: PrivateKey) -> str:
    """The name by which `new_key` makes such a key; empty for others."""
    if isinstance(key, rsa.RSAPrivateKey):
        return f"rsa{key.key_size}"
    curve = key.curve if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return next((name for name, each in _CURVES.items() if isinstance(curve, each)), "")


def pem_of(key: PrivateKey) -> bytes:
    """The key as PKCS#8 in PEM, not encrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def general_name(name: str) -> x509.GeneralName:
    """A host name or an address as a subjectAltName holds it."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def signing_request(key: PrivateKey, names: Sequence[str]) -> bytes:
    """A request (PKCS#10, PEM) for a certificate of these names; they may be too long for a common name."""
    wanted = x509.SubjectAlternativeName([general_name(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(wanted, critical=False).sign(key, _hash(key))
    return request.public_bytes(Encoding.PEM)


def stand_in(names: Sequence[str], now: datetime) -> CertificatePair:
    """A pair that nobody signed, shown while there is no other: clients refuse it and say why."""
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _self_signed(key, STAND_IN, names, now, timedelta(days=365)).sign(key, hashes.SHA256())
    return CertificatePair((leaf,), key, names_of(leaf), leaf.not_valid_after_utc)


def proof(key: PrivateKey, name: str, key_authorization: str, now: datetime) -> x509.Certificate:
    """
    The certificate that proves TLS-ALPN-01 for ``name`` (RFC 8737 section 3, RFC 8738 for addresses).

    ``key`` is that of the listener: the certificate is changed in the midst
    of a handshake whose signature algorithm is settled already.
    """
    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    extension = x509.UnrecognizedExtension(_ACME_IDENTIFIER, _OCTET_STRING + digest)
    builder = _self_signed(key, "docxy acme-tls/1", [name], now, timedelta(days=1))
    return builder.add_extension(extension, critical=True).sign(key, _hash(key))


def _hash(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _self_signed(
    key: PrivateKey, title: str, names: Sequence[str], now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # for clocks that differ
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName([general_name(one) for one in names]), critical=False)
    )


def server_name(name: str) -> str:
    """What the authority sends as server name when it looks for ``name``: an address's reverse (RFC 8738)."""
    try:
        return ip_address(name).reverse_pointer
    except ValueError:
        return name


def renewal_id(leaf: x509.Certificate) -> str | None:
    """The certificate's name in a directory's renewalInfo (RFC 9773 section 4.1); None where it has none."""
    try:
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return None
    if issuer is None:
        return None
    serial = leaf.serial_number
    parts = (issuer, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))  # DER: room for the sign
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii") for part in parts)
