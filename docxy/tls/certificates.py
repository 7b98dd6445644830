"""
The certificate and key that listeners show: read, checked, named.

Owns every reason why a pair cannot serve, each with its remedy, found before
a client meets it.  Knows nothing of sockets or of OpenSSL contexts; the time
is an argument.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from docxy.settings.values import SettingsError
from docxy.tls import pem

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})  # what Go's crypto/tls accepts
_MIN_RSA = 2048  # bits: OpenSSL's security level 2
_NEW_KEY_REMEDY = "have one issued for an ECDSA P-256, an Ed25519 or an RSA key of at least 2048 bits"


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """
    A chain, leaf first, with the leaf's private key.

    ``names`` are the DNS names and addresses that the leaf is valid for, in
    lower case; ``warnings`` is what the operator should read but may ignore.
    """

    chain: tuple[x509.Certificate, ...]
    private_key: PrivateKey = field(repr=False)
    names: tuple[str, ...]
    not_after: datetime
    warnings: tuple[str, ...] = ()

    @property
    def life(self) -> timedelta:
        """How long the leaf is valid in all."""
        return self.not_after - self.chain[0].not_valid_before_utc


@dataclass(frozen=True, slots=True)
class PairFiles:
    """
    Where a pair lies, and the settings that name it.

    ``chain`` is a further file whose certificates follow those of ``cert``.
    """

    cert: str
    key: str
    cert_setting: str = "tls.cert"
    key_setting: str = "tls.key"
    chain: str | None = None


def load_pair(
    cert_path: str, key_path: str, *, now: datetime, cert_key: str = "tls.cert", key_key: str = "tls.key"
) -> CertificatePair:
    """
    The pair in these two PEM files (which may be one and the same).

    :param now: an aware time, against which validity is judged.
    :raises SettingsError: the pair cannot serve.
    """
    return load_files(PairFiles(cert_path, key_path, cert_key, key_key), now=now)


def load_files(files: PairFiles, *, now: datetime) -> CertificatePair:
    """
    The pair in ``files``.

    :raises SettingsError: the pair cannot serve.
    """
    cert_blocks = pem.read_blocks(files.cert, files.cert_setting)
    key_blocks = pem.read_blocks(files.key, files.key_setting)
    _refuse_swapped(files, cert_blocks, key_blocks)
    chain = _load_chain(files, cert_blocks)
    key = _load_key(files, key_blocks)
    _refuse_foreign_key(files, chain, key)
    leaf = chain[0]
    _refuse_outside_validity(files, leaf, now)
    warnings = [*_check_chain(files, chain), *_chain_warnings(chain, now), *_leaf_warnings(leaf)]
    warnings += _permission_warnings(files)
    where = f"{files.cert_setting}: {files.cert!r}"
    return CertificatePair(
        chain, key, names_of(leaf), leaf.not_valid_after_utc, tuple(f"{where} {text}" for text in warnings)
    )


def covers(names: Collection[str], host: str) -> bool:
    """Whether ``names`` make a certificate valid for ``host`` (RFC 9525 section 6.3: "*" is one label)."""
    host = host.strip("[]").lower()
    try:
        return str(ip_address(host)) in names
    except ValueError:
        host = host.removesuffix(".")
    first, _, rest = host.partition(".")
    if not first or "*" in host:
        return False
    return host in names or (rest != "" and f"*.{rest}" in names)


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and addresses in the subjectAltName, in lower case; the common name is ignored."""
    names = _alternative_names(leaf)
    if names is None:
        return ()
    dns = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress)))


def _alternative_names(leaf: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


# Reading


def _refuse_swapped(
    files: PairFiles, cert_blocks: tuple[pem.Block, ...], key_blocks: tuple[pem.Block, ...]
) -> None:
    usable = any(block.is_certificate for block in cert_blocks) or any(block.is_key for block in key_blocks)
    if not usable and cert_blocks[0].is_key and key_blocks[0].is_certificate:
        raise SettingsError(
            files.cert_setting,
            f"{files.cert!r} is a private key and {files.key!r} a certificate",
            f"exchange {files.cert_setting} and {files.key_setting}",
        )


def _load_chain(files: PairFiles, blocks: tuple[pem.Block, ...]) -> tuple[x509.Certificate, ...]:
    chain = pem.certificates(blocks, files.cert, files.cert_setting)
    if not chain:
        raise SettingsError(
            files.cert_setting, f"{files.cert!r} holds no certificate", "name the chain, often fullchain.pem"
        )
    if files.chain is not None:
        blocks = pem.read_blocks(files.chain, files.cert_setting)
        chain += pem.certificates(blocks, files.chain, files.cert_setting)
    return chain


def _load_key(files: PairFiles, blocks: tuple[pem.Block, ...]) -> PrivateKey:
    block = next((block for block in blocks if block.is_key), None)
    where = files.key_setting
    if block is None:
        raise SettingsError(where, f"{files.key!r} holds no private key", "name the key, often privkey.pem")
    if block.encrypted:
        raise SettingsError(
            where,
            f"the private key in {files.key!r} is encrypted",
            f"store it without a passphrase: openssl pkey -in {files.key} -out plain.pem",
        )
    try:
        # "OPENSSH PRIVATE KEY" is another encoding, and falls out here like every broken one.
        key = load_der_private_key(block.der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(
            where,
            f"the private key in {files.key!r} is broken or of an unknown form",
            "see openssl pkey -check",
        ) from None
    return _supported(files, key)


def _supported(files: PairFiles, key: object) -> PrivateKey:
    problem = f"the private key in {files.key!r} is of a type that clients do not accept"
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size >= _MIN_RSA:
            return key
        problem = f"the RSA key in {files.key!r} has {key.key_size} bits, which OpenSSL refuses as too few"
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name in _CURVES:
            return key
        problem = f"the key in {files.key!r} lies on the curve {key.curve.name}, which clients do not accept"
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise SettingsError(files.key_setting, problem, _NEW_KEY_REMEDY)


# Judging


def _refuse_foreign_key(files: PairFiles, chain: tuple[x509.Certificate, ...], key: PrivateKey) -> None:
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    owners = [_public_bytes(certificate) == wanted for certificate in chain]
    if owners[0]:
        return
    if any(owners):
        raise SettingsError(
            files.cert_setting,
            f"{files.cert!r} is in the wrong order: the certificate of {files.key!r} is number "
            f"{owners.index(True) + 1} in it",
            "put the server's own certificate first, then each one's issuer (as fullchain.pem does)",
        )
    raise SettingsError(
        files.key_setting,
        f"the key in {files.key!r} does not belong to the certificate in {files.cert!r} ({_title(chain[0])})",
        "name the key that this certificate was issued for; after a renewal both files must be the new ones",
    )


def _public_bytes(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _refuse_outside_validity(files: PairFiles, leaf: x509.Certificate, now: datetime) -> None:
    if now > leaf.not_valid_after_utc:
        raise SettingsError(
            files.cert_setting,
            f"the certificate in {files.cert!r} expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
            "renew it; if it is new, check the clock of this machine",
        )
    if now < leaf.not_valid_before_utc:
        raise SettingsError(
            files.cert_setting,
            f"the certificate in {files.cert!r} is not valid before "
            f"{leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "check the clock of this machine, or wait",
        )


def _check_chain(files: PairFiles, chain: tuple[x509.Certificate, ...]) -> list[str]:
    """Warnings about the link from the leaf to its issuer; refuses what clients cannot mend."""
    leaf = chain[0]
    signers = [number for number, issuer in enumerate(chain) if _signed(leaf, issuer)]
    if 0 in signers or 1 in signers:
        return []
    if signers:
        raise SettingsError(
            files.cert_setting,
            f"{files.cert!r} is in the wrong order: the first one's issuer is number {signers[0] + 1}",
            "let each certificate be followed by its issuer (as fullchain.pem does)",
        )
    issuer = _common_name(leaf.issuer)
    if _names_its_issuer(leaf):
        raise SettingsError(
            files.cert_setting,
            f"{files.cert!r} lacks the intermediate certificate {issuer!r} that signed {_title(leaf)}",
            "use fullchain.pem in place of cert.pem, or append the issuer's certificate",
        )
    # A private root that signs servers itself need not be sent; its clients have it.
    return [f"does not hold the issuer {issuer!r}: clients must have that certificate themselves"]


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _names_its_issuer(leaf: x509.Certificate) -> bool:
    """Whether the leaf says where its issuer is to be had, as those of public CAs' intermediates do."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return any(entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS for entry in access)


def _chain_warnings(chain: tuple[x509.Certificate, ...], now: datetime) -> list[str]:
    # Old cross-signatures are shipped on purpose, so neither of these is refused.
    return [
        f"holds {_title(issuer)}, which expired on {issuer.not_valid_after_utc:%Y-%m-%d}"
        for issuer in chain[1:]
        if now > issuer.not_valid_after_utc
    ]


def _leaf_warnings(leaf: x509.Certificate) -> list[str]:
    warnings = []
    if not names_of(leaf):
        warnings.append("has no subjectAltName: no container client accepts it, whatever its common name")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return warnings
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        warnings.append("is not meant for servers (extendedKeyUsage without serverAuth): clients refuse it")
    return warnings


def _permission_warnings(files: PairFiles) -> list[str]:
    if Path(files.key).stat().st_mode & 0o007:
        return [f"has its key in {files.key!r}, open to every user of this machine: chmod 640 {files.key}"]
    return []


def _title(certificate: x509.Certificate) -> str:
    names = names_of(certificate)
    return repr(names[0]) if names else repr(_common_name(certificate.subject))


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()
