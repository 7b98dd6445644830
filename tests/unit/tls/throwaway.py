"""
Certificates that live for one test run.

Owns a small authority (root, intermediate, leaves) and the PEM files made of
it.  Knows nothing of what is tested with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)

Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


@cache
def key(name: str) -> Key:
    """The key of this name, made once; its first word chooses the type."""
    kind = name.split()[0]
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(
        {"secp256k1": ec.SECP256K1, "p384": ec.SECP384R1}.get(kind, ec.SECP256R1)()
    )


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, form: PrivateFormat = PrivateFormat.PKCS8, passphrase: bytes | None = None) -> bytes:
        """The key as PEM."""
        lock = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return self.key.private_bytes(Encoding.PEM, form, lock)


@dataclass(frozen=True)
class Wish:
    """What a certificate shall say."""

    subject: str = "mirror.example.com"
    key: str = "p256"
    names: tuple[str, ...] | None = None  # None: the subject
    days: tuple[float, float] = (-1, 30)  # valid from, to
    authority: bool = False
    caissuers: str | None = None
    usage: tuple[x509.ObjectIdentifier, ...] = ()
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)


def issue(wish: Wish, issuer: Issued | None = None) -> Issued:
    """A certificate by ``issuer``, or signed by itself."""
    own = key(wish.key)
    subject = _name(wish.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + wish.days[0] * DAY)
        .not_valid_after(NOW + wish.days[1] * DAY)
    )
    for extension in _extensions(wish):
        builder = builder.add_extension(extension, isinstance(extension, x509.BasicConstraints))
    signer = issuer.key if issuer else own
    plain = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Issued(builder.sign(signer, None if plain else wish.digest), own)  # type: ignore[arg-type]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _extensions(wish: Wish) -> list[x509.ExtensionType]:
    made: list[x509.ExtensionType] = []
    if wish.authority:
        return [x509.BasicConstraints(True, None)]
    names = (wish.subject,) if wish.names is None else wish.names
    if names:
        made.append(x509.SubjectAlternativeName([_general_name(name) for name in names]))
    if wish.caissuers:
        place = x509.UniformResourceIdentifier(wish.caissuers)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        made.append(x509.AuthorityInformationAccess([access]))
    if wish.usage:
        made.append(x509.ExtendedKeyUsage(list(wish.usage)))
    return made


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@cache
def root() -> Issued:
    """A root that is in nobody's system store."""
    return issue(Wish("Throwaway Root", "p256 root", authority=True))


@cache
def intermediate() -> Issued:
    """An authority that the root signed."""
    return issue(Wish("Throwaway Intermediate", "p256 intermediate", authority=True), root())


@cache
def leaf(*names: str) -> Issued:
    """A server's certificate that the intermediate signed."""
    chosen = names or ("mirror.example.com",)
    return issue(Wish(chosen[0], names=chosen, caissuers="http://ca.example/i.der"), intermediate())


def write(path: Path, parts: Sequence[bytes] | bytes) -> str:
    """Write ``parts`` to ``path`` for its owner alone, and return its name."""
    path.write_bytes(parts if isinstance(parts, bytes) else b"".join(parts))
    path.chmod(0o600)
    return str(path)
