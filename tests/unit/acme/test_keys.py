"""Tests for `docxy.acme.keys`: what is signed, read back."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.keys import (
    STAND_IN,
    new_key,
    pem_of,
    proof,
    renewal_id,
    server_name,
    signing_request,
    stand_in,
    type_of,
)
from docxy.tls.certificates import names_of
from tests.unit.tls.throwaway import NOW, Wish, issue, key, leaf

NAMES = ("mirror.example.com", "192.0.2.1", "2001:db8::1")


class KeyTests(SynchronousTestCase):
    def test_types(self) -> None:
        """Each type has its curve or its bits, and is written so that it can be read."""
        for key_type, size in (("ec256", 256), ("ec384", 384), ("rsa2048", 2048)):
            made = load_pem_private_key(pem_of(new_key(key_type)), None)
            assert isinstance(made, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
            self.assertEqual((made.key_size, type_of(made)), (size, key_type))
        for name in ("ed25519", "secp256k1"):
            other = key(name)
            assert isinstance(other, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
            self.assertEqual(type_of(other), "")

    def test_request(self) -> None:
        """A request has every name as what it is, and is signed by its key."""
        own = new_key("ec256")
        request = x509.load_pem_x509_csr(signing_request(own, NAMES))
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["mirror.example.com"])
        addresses = names.get_values_for_type(x509.IPAddress)
        self.assertEqual([str(address) for address in addresses], ["192.0.2.1", "2001:db8::1"])
        self.assertTrue(request.is_signature_valid)
        self.assertEqual(list(request.subject), [])

    def test_stand_in(self) -> None:
        """A stand-in says what it is, for a year."""
        made = stand_in(NAMES, NOW)
        self.assertEqual(made.names, NAMES)
        self.assertIn(STAND_IN, made.chain[0].subject.rfc4514_string())
        self.assertEqual(made.not_after, NOW + timedelta(days=365))
        made.chain[0].verify_directly_issued_by(made.chain[0])


class ProofTests(SynchronousTestCase):
    def test_proof(self) -> None:
        """One name, and the digest in a critical extension (RFC 8737 section 3), by every type of key."""
        for kind in ("p256", "p384", "rsa2048", "ed25519"):
            own = key(kind)
            made = proof(own, "192.0.2.1", "token.thumbprint", NOW)  # type: ignore[arg-type]  # of these kinds
            self.assertEqual(names_of(made), ("192.0.2.1",))
            found = made.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
            assert isinstance(found.value, x509.UnrecognizedExtension)
            digest = hashlib.sha256(b"token.thumbprint").digest()
            self.assertEqual((found.critical, found.value.value), (True, b"\x04\x20" + digest))
            made.verify_directly_issued_by(made)

    def test_server_names(self) -> None:
        """An address is asked for by its reverse name (RFC 8738 section 6)."""
        self.assertEqual(server_name("mirror.example.com"), "mirror.example.com")
        self.assertEqual(server_name("192.0.2.1"), "1.2.0.192.in-addr.arpa")
        self.assertTrue(server_name("2001:db8::1").endswith(".8.b.d.0.1.0.0.2.ip6.arpa"))


class RenewalIdTests(SynchronousTestCase):
    def test_example(self) -> None:
        """The example of RFC 9773 section 4.1, whose serial number's first bit wants a zero byte."""
        own = new_key("ec256")
        issuer = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
        name = x509.Name([])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(own.public_key())
            .serial_number(0x8765432187654321)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.AuthorityKeyIdentifier(issuer, None, None), critical=False)
            .sign(own, hashes.SHA256())
        )
        self.assertEqual(renewal_id(made), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyGHZUMh")

    def test_none(self) -> None:
        """A certificate that does not name its issuer's key has no such name."""
        self.assertIsNone(renewal_id(leaf().certificate))
        self.assertIsNone(renewal_id(issue(Wish()).certificate))
