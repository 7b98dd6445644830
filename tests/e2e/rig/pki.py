"""
Certificates that nobody else believes: an authority, leaves, and a signer of tokens.

Owns key pairs in the run's folder.  Knows nothing of who uses them.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """What a server of this name needs to speak TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


_MONTH = datetime.timedelta(days=30)


def _builder(
    subject: str, issuer: str, key: _PrivateKey, lasts: datetime.timedelta = _MONTH
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + lasts)
    )


def _usage(*purposes: str) -> x509.KeyUsage:
    known = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    every = (*known, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{purpose: purpose in purposes for purpose in every})


def _write(folder: Path, stem: str, cert: x509.Certificate, key: _PrivateKey) -> Leaf:
    leaf = Leaf(folder / f"{stem}.crt", folder / f"{stem}.key")
    leaf.key.touch(0o600)
    leaf.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    leaf.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return leaf


class Authority:
    """A throwaway certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        cert = (
            _builder("rig authority", "rig authority", self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.cert = _write(folder, "ca", cert, self._key).cert

    def issue(self, stem: str, names: Iterable[str], lasts: datetime.timedelta = _MONTH) -> Leaf:
        """A leaf for these host names and addresses; it began a day ago, and lasts so long from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = (
            _builder(stem, "rig authority", key, lasts)
            .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        return _write(self._folder, stem, cert, key)

    def signer(self, stem: str) -> Leaf:
        """A self-signed RSA pair, for tokens."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return _write(self._folder, stem, _builder(stem, stem, key).sign(key, hashes.SHA256()), key)

    def client_context(self) -> ssl.SSLContext:
        """What a client that trusts this authority alone needs to speak TLS."""
        return ssl.create_default_context(cafile=str(self.cert))
