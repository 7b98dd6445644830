"""Tests for `docxy.acme.binding`: a secret in a file, which no error repeats."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.binding import read_hmac
from docxy.settings.values import SettingsError


class BindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A file."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name, "hmac")

    def test_read(self) -> None:
        """The key stands alone, perhaps with a line end or the = that authorities leave out."""
        for text in ("zWNDZM6eQGHWpSRT-_", "zWNDZM6eQGHWpSRT-_\n", " zWNDZM6eQGHWpSRT-_=="):
            self.path.write_text(text)
            self.assertEqual(read_hmac(str(self.path)), "zWNDZM6eQGHWpSRT-_")

    def test_refused(self) -> None:
        """Anything else is no key."""
        for content in (
            b"",
            b"short",
            b"hmac = zWNDZM6eQGHWpSRT",
            b"zWNDZM6eQGHWpSRT+/",
            b"\xff" * 20,
            b"a" * 2000,
        ):
            self.path.write_bytes(content)
            error = self.assertRaises(SettingsError, read_hmac, str(self.path))
            self.assertEqual(error.key, "acme.eab_hmac_file")
            self.assertNotIn("zWND", str(error))

    def test_gone(self) -> None:
        """A file that cannot be read is told, but not its name, which may be the key."""
        error = self.assertRaises(SettingsError, read_hmac, "zWNDZM6eQGHWpSRT")
        self.assertEqual(error.problem, "the file cannot be read (No such file or directory)")
        self.assertNotIn("zWND", str(error))
