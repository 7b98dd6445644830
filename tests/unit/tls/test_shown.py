"""Tests for `docxy.tls.shown`: the certificates that are shown, and their renewal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.values import SettingsError
from docxy.tls.certificates import CertificatePair, PairFiles, load_files
from docxy.tls.shown import Certificates, Coming
from tests.unit.tls.throwaway import NOW, intermediate, leaf, write


class CertificatesCase(SynchronousTestCase):
    def setUp(self) -> None:
        """Files of three names, and a listener's own certificate beside that of the settings."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.settings = self.pair("settings.example")
        self.own = self.pair("own.example", "server.listen")
        self.known = Certificates(lambda: NOW, self.settings)
        self.own_creator = self.known.add(self.own)

    def pair(self, name: str, setting: str | None = None) -> PairFiles:
        """A pair for this name, in files of its own."""
        one = leaf(name)
        cert = write(self.folder / f"{name}.pem", [one.pem, intermediate().pem])
        key = write(self.folder / f"{name}.key", one.key_pem())
        return PairFiles(cert, key) if setting is None else PairFiles(cert, key, setting, setting)

    def install(self, new: PairFiles, place: PairFiles) -> None:
        """Put a renewed pair in the place of another."""
        shutil.copy(new.cert, place.cert)
        shutil.copy(new.key, place.key)


class CertificatesTests(CertificatesCase):
    """Certificates that lie in files."""

    def test_names(self) -> None:
        """The names of all are known, and the settings' own is the default."""
        self.assertEqual(self.known.names(), ("settings.example", "own.example"))
        assert self.known.default is not None
        self.assertEqual(self.known.default.pair.names, ("settings.example",))
        self.assertIsNone(Certificates(lambda: NOW).default)

    def test_files(self) -> None:
        """Every file is told with the setting that names it."""
        told = [("tls.cert", self.settings.cert), ("tls.key", self.settings.key)]
        told += [("server.listen", self.own.cert), ("server.listen", self.own.key)]
        self.assertEqual(list(self.known.files()), told)

    def test_reload(self) -> None:
        """All are read again: in the same places, or that of the settings where it now is."""
        self.install(self.pair("new.example"), self.own)
        self.assertEqual(self.known.reload(self.pair("moved.example")), [])
        self.assertEqual(self.known.names(), ("moved.example", "new.example"))
        self.assertEqual(self.own_creator.pair.names, ("new.example",))
        self.install(self.pair("third.example"), self.settings)
        self.assertEqual(self.known.reload(None), [])
        self.assertEqual(self.known.names(), ("moved.example", "new.example"))

    def test_refused(self) -> None:
        """A broken one stays as it was, and is told, until its files are right; others are renewed."""
        self.install(self.pair("new.example"), self.own)
        broken = PairFiles(write(self.folder / "broken", b"broken"), self.settings.key)
        refused = self.known.reload(broken)
        self.assertEqual([error.key for error in refused], ["tls.cert"])
        self.assertEqual(self.known.names(), ("settings.example", "new.example"))
        shutil.copy(self.settings.cert, broken.cert)
        self.assertEqual(self.known.reload(None), [])

    def test_warnings(self) -> None:
        """A public URL that no certificate is valid for is told, where there are certificates."""
        urls = ("https://own.example", "https://other.example:8443", "http://plain.example")
        [warning] = self.known.warnings(urls)
        self.assertTrue(warning.startswith("server.public_url: no certificate is valid for other.example;"))
        self.assertEqual(Certificates(lambda: NOW).warnings(urls), [])

    def test_ends(self) -> None:
        """The end of each is known, and the seconds until the first of them."""
        ends = [(expiry.files, expiry.lasting) for expiry in self.known.expiries()]
        self.assertEqual(ends, [(self.settings, False), (self.own, False)])
        self.assertEqual({expiry.life for expiry in self.known.expiries()}, {timedelta(days=31)})
        left = (min(expiry.not_after for expiry in self.known.expiries()) - NOW).total_seconds()
        self.assertEqual(self.known.seconds_left(), left)
        self.assertIsNone(Certificates(lambda: NOW).seconds_left())

    def test_lasting(self) -> None:
        """What its listener has taken for good is not read again."""
        lasting = self.pair("lasting.example", "server.listen")
        self.known.add(lasting, lasting=True)
        Path(lasting.cert).unlink()
        self.assertEqual(self.known.reload(None), [])
        self.assertIn("lasting.example", self.known.names())
        self.assertNotIn(lasting.cert, [path for _, path in self.known.files()])

    def test_openssl_refuses(self) -> None:
        """What OpenSSL refuses is told under the setting of the listener that it is for."""

        def refuse(*_: object) -> None:
            raise SSL.Error([("", "", "md too weak")])

        self.patch(SSL.Context, "use_certificate", refuse)
        error = self.assertRaises(SettingsError, self.known.add, self.own)
        self.assertEqual(error.key, "server.listen")
        keys = [error.key for error in self.known.reload(None)]
        self.assertEqual(keys, ["tls.cert", "server.listen"])


class ComingTests(CertificatesCase):
    """A certificate that docxy obtains by itself."""

    def setUp(self) -> None:
        """Nothing is there yet but what stands in."""
        super().setUp()
        self.stand_in = load_files(self.pair("stand-in.example"), now=NOW)
        cert = str(self.folder / "obtained.pem")
        self.files = PairFiles(cert, cert, "acme.state", "acme.state")
        self.coming = Coming(lambda: self.stand_in, lambda name, key: None)
        self.known = Certificates(lambda: NOW, self.files, self.coming)
        self.own_creator = self.known.add(self.own)

    def obtain(self, name: str) -> None:
        """The certificate and its key, in one file."""
        one = leaf(name)
        write(Path(self.files.cert), [one.pem, intermediate().pem, one.key_pem()])

    def shown(self) -> CertificatePair:
        """What the next connection is shown."""
        assert self.known.default is not None
        return self.known.default.pair

    def test_names(self) -> None:
        """The stand-in's names are known, but it is nobody's pair."""
        self.assertEqual(self.known.names(), ("stand-in.example", "own.example"))
        self.assertTrue(self.known.awaited)
        self.assertIsNone(self.known.pair)

    def test_files(self) -> None:
        """A file that is not there yet is not missed."""
        self.assertNotIn("acme.state", [setting for setting, _ in self.known.files()])
        self.obtain("obtained.example")
        self.known.take()
        self.assertIn(("acme.state", self.files.cert), list(self.known.files()))

    def test_taken(self) -> None:
        """It is taken once it is there, and again when it is another one."""
        self.known.take()
        self.assertTrue(self.known.awaited)
        for name in ("obtained.example", "renewed.example"):
            self.obtain(name)
            self.known.take()
            self.assertEqual(self.shown().names, (name,))
            self.assertFalse(self.known.awaited)
            context = self.known.default and self.known.default._context
            self.known.take()
            self.assertIs(self.known.default and self.known.default._context, context)
        self.assertEqual(self.own_creator.pair.names, ("own.example",))

    def test_there_already(self) -> None:
        """One that is there is shown at once; one that cannot serve is not."""
        self.obtain("obtained.example")
        self.assertIs(Certificates(lambda: NOW, self.files, self.coming).awaited, False)
        later = NOW + timedelta(days=400)
        self.assertIs(Certificates(lambda: later, self.files, self.coming).awaited, True)

    def test_refused(self) -> None:
        """What cannot serve is told once, and the stand-in stays."""
        Path(self.files.cert).write_text("nonsense")
        self.assertRaises(SettingsError, self.known.take)
        self.known.take()
        self.assertIs(self.shown(), self.stand_in)

    def test_clock_set_right(self) -> None:
        """One that a wrong clock had refused at the start is taken once the clock is right."""
        self.obtain("obtained.example")
        looks: tuple[Callable[[Certificates], object], ...] = (Certificates.take, Certificates.look)
        for look in looks:
            now = [NOW - timedelta(days=9000)]
            known = Certificates(partial(now.__getitem__, 0), self.files, self.coming)
            look(known)
            self.assertTrue(known.awaited)
            now[0] = NOW
            look(known)
            self.assertFalse(known.awaited)

    def test_reload(self) -> None:
        """A reload takes it as well, and does not complain that it is not there yet."""
        self.assertEqual(self.known.reload(None), [])
        self.obtain("obtained.example")
        self.assertEqual(self.known.reload(None), [])
        self.assertEqual(self.shown().names, ("obtained.example",))
