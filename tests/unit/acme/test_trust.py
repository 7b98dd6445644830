"""Tests for `docxy.acme.trust`: trust roots, and what is none."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.trust import trust
from docxy.settings.values import SettingsError
from tests.unit.tls.throwaway import root


class TrustTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A file."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name, "ca.pem")

    def test_roots(self) -> None:
        """The system's roots, and the one of the settings; names are checked."""
        self.path.write_bytes(root().pem)
        context = trust(str(self.path))
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))
        known = [one["subject"] for one in context.get_ca_certs()]
        self.assertIn(((("commonName", "Throwaway Root"),),), known)

    def test_same_on_each_python(self) -> None:
        """What is wrong with a chain does not depend on Python's age."""
        self.assertFalse(trust(None).verify_flags & ssl.VERIFY_X509_STRICT)

    def test_refused(self) -> None:
        """A file that is not there, or no roots, is told as the setting's fault."""
        for content, reason in ((None, "No such file or directory"), ("nonsense", "it holds no certificate")):
            if content is not None:
                self.path.write_text(content)
            error = self.assertRaises(SettingsError, trust, str(self.path))
            self.assertEqual(
                (error.key, error.problem), ("acme.ca", f"{str(self.path)!r} cannot be used ({reason})")
            )
