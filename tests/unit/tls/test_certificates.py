"""
Tests for `docxy.tls.certificates`.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.values import SettingsError
from docxy.tls.certificates import CertificatePair, PairFiles, covers, load_files, load_pair, names_of
from tests.unit.tls.throwaway import NOW, Issued, Wish, intermediate, issue, key, leaf, root, write

quick = settings(derandomize=True, max_examples=50, deadline=None)


class PairTestCase(SynchronousTestCase):
    """A case that writes pairs."""

    def setUp(self) -> None:
        """A directory."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = Path(made.name)
        self.cert, self.key = str(self.directory / "cert.pem"), str(self.directory / "key.pem")

    def load(self, chain: list[bytes], key_part: bytes | None = None) -> CertificatePair:
        """The pair of these parts; the key is the usual leaf's."""
        write(Path(self.cert), chain)
        write(Path(self.key), leaf().key_pem() if key_part is None else key_part)
        return load_pair(self.cert, self.key, now=NOW)

    def refused(self, chain: list[bytes], key_part: bytes | None = None) -> SettingsError:
        """Why it is refused."""
        with self.assertRaises(SettingsError) as caught:
            self.load(chain, key_part)
        error: SettingsError = caught.exception
        return error


class AcceptedTests(PairTestCase):
    def test_whole(self) -> None:
        """Chain, names and end of validity are told, without a warning."""
        one = leaf("Mirror.Example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
        pair = self.load([one.pem, intermediate().pem], one.key_pem())
        self.assertEqual(pair.chain, (one.certificate, intermediate().certificate))
        self.assertEqual(pair.names, ("mirror.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"))
        self.assertEqual(pair.not_after, NOW + timedelta(days=30))
        self.assertEqual(pair.warnings, ())

    def test_key_forms(self) -> None:
        """Keys of each type, and in each form that openssl writes, are read."""
        pkcs8, traditional = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
        for kind, form in [
            ("p256", pkcs8),
            ("p256", traditional),
            ("p384", pkcs8),
            ("rsa2048", pkcs8),
            ("rsa2048", traditional),
            ("ed25519", pkcs8),
        ]:
            with self.subTest(kind=kind, form=form):
                one = issue(Wish(key=kind))
                pair = self.load([one.pem], one.key_pem(form))
                self.assertEqual(pair.private_key.public_key(), one.key.public_key())

    def test_parameters_first(self) -> None:
        """The curve's name that `openssl ecparam -genkey` writes before the key is passed over."""
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        self.load(
            [leaf().pem, intermediate().pem], parameters + leaf().key_pem(PrivateFormat.TraditionalOpenSSL)
        )

    def test_one_file(self) -> None:
        """Chain and key may stand in one file, in either order."""
        for parts in (
            [leaf().key_pem(), leaf().pem, intermediate().pem],
            [leaf().pem, intermediate().pem, leaf().key_pem()],
        ):
            write(Path(self.cert), parts)
            self.assertEqual(len(load_pair(self.cert, self.cert, now=NOW).chain), 2)

    def test_chain_file(self) -> None:
        """The intermediates may stand in a file of their own."""
        write(Path(self.cert), leaf().pem)
        write(Path(self.key), leaf().key_pem())
        chain = write(self.directory / "chain.pem", intermediate().pem)
        pair = load_files(PairFiles(self.cert, self.key, chain=chain), now=NOW)
        self.assertEqual(pair.chain, (leaf().certificate, intermediate().certificate))

    def test_self_signed(self) -> None:
        """A certificate signed by itself needs no issuer."""
        one = issue(Wish())
        self.assertEqual(self.load([one.pem], one.key_pem()).warnings, ())

    def test_root_sent_along(self) -> None:
        """A chain may hold its root."""
        self.assertEqual(self.load([leaf().pem, intermediate().pem, root().pem]).warnings, ())

    def test_key_is_not_shown(self) -> None:
        """No repr shows the key."""
        self.assertNotIn("private_key", repr(self.load([leaf().pem, intermediate().pem])))


class WarningTests(PairTestCase):
    def warning(self, one: Issued, *others: bytes) -> str:
        """The only warning about ``one``."""
        warnings = self.load([one.pem, *others], one.key_pem()).warnings
        self.assertEqual(len(warnings), 1, warnings)
        self.assertTrue(warnings[0].startswith(f"tls.cert: {self.cert!r} "), warnings)
        return warnings[0]

    def test_private_root(self) -> None:
        """A leaf of a private root that is not in the file is served, with a word about who must know it."""
        self.assertIn("'Throwaway Root'", self.warning(issue(Wish(), root())))

    def test_no_names(self) -> None:
        """A certificate with a common name alone is served, though clients refuse it."""
        self.assertIn("subjectAltName", self.warning(issue(Wish(names=()))))

    def test_usage(self) -> None:
        """A certificate for other purposes than servers is told of; one for any purpose is not."""
        self.assertIn("serverAuth", self.warning(issue(Wish(usage=(ExtendedKeyUsageOID.CLIENT_AUTH,)))))
        for usage in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE):
            one = issue(Wish(usage=(usage,)))
            self.assertEqual(self.load([one.pem], one.key_pem()).warnings, ())

    def test_expired_issuer(self) -> None:
        """An issuer that has expired is told of."""
        old = issue(Wish("Old CA", "p256 old", days=(-9, -1), authority=True), root())
        self.assertIn("'Old CA', which expired", self.warning(issue(Wish(), old), old.pem))

    def test_open_key(self) -> None:
        """A key that every user may read is told of; one that a group may read is not."""
        self.load([leaf().pem, intermediate().pem])
        for mode, expected in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)]:
            Path(self.key).chmod(mode)
            self.assertEqual(len(load_pair(self.cert, self.key, now=NOW).warnings), expected, oct(mode))


class RefusedTests(PairTestCase):
    def test_files(self) -> None:
        """A missing file is named with the setting that names it, whatever that is called."""
        cert, other = write(Path(self.cert), leaf().pem), str(self.directory / "missing")
        for paths, setting in [((other, cert), "listen.cert"), ((cert, other), "listen.key")]:
            with self.assertRaises(SettingsError) as caught:
                load_pair(*paths, now=NOW, cert_key="listen.cert", key_key="listen.key")
            self.assertEqual(caught.exception.key, setting)
            self.assertIn("does not exist", caught.exception.problem)

    def test_encrypted(self) -> None:
        """A locked key is told as such, in both forms, with the command that unlocks it."""
        old = leaf().key_pem(PrivateFormat.TraditionalOpenSSL, b"secret")
        self.assertIn(b"Proc-Type", old)
        for locked in (old, leaf().key_pem(passphrase=b"secret")):
            error = self.refused([leaf().pem, intermediate().pem], locked)
            self.assertEqual(error.key, "tls.key")
            self.assertIn("is encrypted", error.problem)
            self.assertIn("openssl pkey", error.remedy)

    def test_swapped(self) -> None:
        """Exchanged files are recognised."""
        error = self.refused([leaf().key_pem()], leaf().pem)
        self.assertEqual((error.key, error.remedy), ("tls.cert", "exchange tls.cert and tls.key"))

    def test_lacking(self) -> None:
        """A file without a certificate, or without a key, is told as such."""
        for chain, key_part, setting, problem in [
            ([leaf().key_pem()], leaf().key_pem(), "tls.cert", "no certificate"),
            ([leaf().pem], intermediate().pem, "tls.key", "no private key"),
        ]:
            error = self.refused(chain, key_part)
            self.assertEqual(error.key, setting)
            self.assertIn(problem, error.problem)

    def test_broken_key(self) -> None:
        """A key that cannot be decoded, and OpenSSH's own form, are told as broken or unknown."""
        for label in ("PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"):
            text = f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode()
            self.assertIn("broken", self.refused([leaf().pem, intermediate().pem], text).problem)

    def test_key_types(self) -> None:
        """Keys that clients do not accept, or OpenSSL finds too short, are refused."""
        for kind, problem in [
            ("rsa1024", "1024 bits"),
            ("secp256k1", "secp256k1"),
            ("ed448", "of a type"),
            ("dsa", "of a type"),
        ]:
            with self.subTest(kind=kind):
                one = Issued(leaf().certificate, key(kind))
                error = self.refused([one.pem], one.key_pem())
                self.assertEqual(error.key, "tls.key")
                self.assertIn(problem, error.problem)

    def test_foreign_key(self) -> None:
        """A key that belongs to no certificate of the file is told as such."""
        error = self.refused([leaf().pem, intermediate().pem], issue(Wish(key="p256 other")).key_pem())
        self.assertEqual(error.key, "tls.key")
        self.assertIn("does not belong to the certificate", error.problem)
        self.assertIn("'mirror.example.com'", error.problem)

    def test_wrong_order(self) -> None:
        """A leaf that is not first, and an issuer that is not second, are told with their places."""
        for chain, place in [
            ([intermediate().pem, leaf().pem], "number 2 in it"),
            ([leaf().pem, root().pem, intermediate().pem], "is number 3"),
        ]:
            error = self.refused(chain)
            self.assertEqual(error.key, "tls.cert")
            self.assertIn("wrong order", error.problem)
            self.assertIn(place, error.problem)

    def test_missing_intermediate(self) -> None:
        """A leaf alone whose issuer is to be had elsewhere is refused, and fullchain.pem named."""
        for chain in ([leaf().pem], [leaf().pem, root().pem]):
            error = self.refused(chain)
            self.assertEqual(error.key, "tls.cert")
            self.assertIn("'Throwaway Intermediate'", error.problem)
            self.assertIn("fullchain.pem", error.remedy)

    def test_validity(self) -> None:
        """An expired certificate and one of the future are told with the date; the exact ends are valid."""
        one = issue(Wish(days=(-1, 1)))
        self.load([one.pem], one.key_pem())
        day = timedelta(days=1)
        for now in (NOW - day, NOW + day):
            load_pair(self.cert, self.key, now=now)
        second = timedelta(seconds=1)
        for now, problem in [(NOW - day - second, "not valid before"), (NOW + day + second, "expired on")]:
            with self.assertRaises(SettingsError) as caught:
                load_pair(self.cert, self.key, now=now)
            self.assertIn(problem, caught.exception.problem)
            self.assertIn("clock", caught.exception.remedy)

    def test_no_secret(self) -> None:
        """No refusal quotes the key."""
        body = leaf().key_pem().splitlines()[1].decode()
        for chain in ([leaf().pem], [intermediate().pem, leaf().pem], [root().pem], [leaf().key_pem()]):
            self.assertNotIn(body, str(self.refused(chain)))


class CoversTests(SynchronousTestCase):
    NAMES = ("mirror.example.com", "*.pull.example.com", "192.0.2.1", "2001:db8::1", "*", "*.")

    def test_table(self) -> None:
        """A wildcard stands for one label, addresses match whole, case and a final dot do not count."""
        for host, covered in [
            ("mirror.example.com", True),
            ("MIRROR.example.COM", True),
            ("mirror.example.com.", True),
            ("mirror.example.com..", False),
            ("a.pull.example.com", True),
            ("a.b.pull.example.com", False),
            ("pull.example.com", False),
            (".pull.example.com", False),
            ("*.pull.example.com", False),
            ("a.mirror.example.com", False),
            ("example.com", False),
            ("192.0.2.1", True),
            ("192.0.2.2", False),
            ("2001:db8::1", True),
            ("2001:DB8:0::1", True),
            ("[2001:db8::1]", True),
            ("2001:db8::2", False),
            ("localhost", False),
            ("a.", False),
            ("*", False),
            ("", False),
            (".", False),
        ]:
            self.assertIs(covers(self.NAMES, host), covered, host)

    def test_address_is_no_label(self) -> None:
        """A wildcard does not cover an address."""
        self.assertFalse(covers(("*.0.2.1",), "192.0.2.1"))

    def test_names(self) -> None:
        """A certificate without alternative names has none, whatever its common name."""
        self.assertEqual(names_of(issue(Wish(names=())).certificate), ())

    @quick
    @given(st.text(max_size=40))
    def test_anything(self, host: str) -> None:
        """No host name makes the comparison fail, and only a listed one is covered."""
        self.assertFalse(covers(("mirror.invalid-name.example",), host))
