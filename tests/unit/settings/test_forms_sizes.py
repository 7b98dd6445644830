"""The written forms of sizes, and which addresses are near."""

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings import forms
from docxy.settings.forms import Malformed


class SizeTests(SynchronousTestCase):
    """Bytes."""

    def test_right(self) -> None:
        """A number, with or without a unit of 1000 or of 1024."""
        for text, size in (
            ("0", 0),
            ("123", 123),
            ("5B", 5),
            ("20 KB", 20_000),
            ("20K", 20_000),
            ("1.5 MiB", 3 << 19),
            ("0.001 GB", 10**6),
            ("2TiB", 2 << 40),
        ):
            self.assertEqual(forms.size(text), size, text)

    def test_wrong(self) -> None:
        """All else is refused."""
        for text in (
            "",
            "-1",
            "1e3",
            "1.",
            ".5 GB",
            "5 PB",
            "5  MB",
            "5 mb",
            "1.2345 GB",
            "9" * 16,
            "1,5 GB",
            "٣",
        ):
            self.assertRaises(Malformed, forms.size, text)


class PrivateTests(SynchronousTestCase):
    """Addresses to listen on."""

    def test_private(self) -> None:
        """Loopback, private networks and inherited sockets are; all addresses and public ones are not."""
        for text in (None, "127.0.0.1", "::1", "10.0.0.1", "192.168.3.4", "fd00::1", "fe80::1", "100.64.0.1"):
            self.assertTrue(forms.is_private(text), text)
        for text in ("", "0.0.0.0", "::", "8.8.8.8", "2606:4700::1111", "localhost.example"):
            self.assertFalse(forms.is_private(text), text)
