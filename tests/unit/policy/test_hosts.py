"""Tests for `docxy.policy.hosts`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.hosts import HostName, LocalAddress, base_url, believed, parse_host

PUBLIC = ("https://mirror.example.com", "http://lan.example:5000")
CERTIFICATE = ("Cert.example", "*.wild.example", "192.0.2.9")
LOCAL: LocalAddress = ("127.0.0.1", 5000)

GARBAGE = (
    None,
    "",
    " ",
    "a b",
    'evil"',
    "mirror.example.com,evil.example",
    "user@mirror.example.com",
    "mirror.example.com/",
    "mirror.example.com?",
    "mirror.example.com#",
    "mirror.example.com\\",
    "mirror.example.com:",
    "mirror.example.com:0",
    "mirror.example.com:65536",
    "mirror.example.com:123456",
    "mirror.example.com:80:80",
    "mirror.example.com:٨٠",
    "mirror.example.com\r\n",
    "mirror.example.com%20",
    "mïrror.example.com",
    "[::1",
    "[]",
    "[:::]",
    "::1",
    "[::1%eth0]",
    "[::1]x",
    "a" * 262,
)


def _believed(host: str | None, local: LocalAddress | None = LOCAL) -> str | None:
    return believed(host, public_urls=PUBLIC, certificate_names=CERTIFICATE, local_address=local)


def _base_url(
    host: str | None,
    scheme: str,
    public_urls: tuple[str, ...] = PUBLIC,
    local: LocalAddress | None = LOCAL,
) -> str:
    return base_url(host, scheme, public_urls=public_urls, certificate_names=CERTIFICATE, local_address=local)


class ParseHostTests(SynchronousTestCase):
    """Reading ``Host``."""

    def test_good(self) -> None:
        """Names lose their case and a last dot, literals their brackets; the port is as sent."""
        for text, host in (
            ("Mirror.example.com", HostName("mirror.example.com", None)),
            ("mirror.example.com.:8443", HostName("mirror.example.com", 8443)),
            ("127.0.0.1:1", HostName("127.0.0.1", 1)),
            ("[2001:DB8:0::1]:65535", HostName("2001:db8::1", 65535)),
            ("[::1]", HostName("::1", None)),
        ):
            self.assertEqual(parse_host(text), host)

    def test_garbage(self) -> None:
        """Anything else is no host."""
        for text in GARBAGE:
            self.assertIsNone(parse_host(text), text)

    @settings(derandomize=True, max_examples=200)
    @given(st.text(max_size=30))
    def test_hostile_text(self, text: str) -> None:
        """No text raises, and what is read has nothing in it that could end a quoted string."""
        host = parse_host(text)
        if host is not None:
            self.assertTrue(text.isascii() and not set(text) & set(' "\\/@?#,'))


class BelievedTests(SynchronousTestCase):
    """Which names are ours."""

    def test_ours(self) -> None:
        """A name of ours is believed with whatever port it came, as it was sent."""
        for host in (
            "mirror.example.com",
            "Mirror.Example.com:8443",
            "lan.example",
            "cert.example:1",
            "a.wild.example",
            "192.0.2.9",
            "127.0.0.1",
            "127.0.0.1:5001",
            "[::ffff:127.0.0.1]:5000",
            "localhost:5000",
        ):
            self.assertEqual(_believed(host), host)

    def test_not_ours(self) -> None:
        """No other name is, nor one that only looks alike."""
        for host in (
            *GARBAGE,
            "evil.example",
            "sub.mirror.example.com",
            "mirror.example.com.evil.example",
            "a.b.wild.example",
            "wild.example",
            ".wild.example",
            "127.0.0.2",
            "example",
        ):
            self.assertIsNone(_believed(host), host)

    def test_local_addresses(self) -> None:
        """The socket's own address is ours in each of its forms; `localhost` only on loopback."""
        self.assertEqual(_believed("[2001:db8::1]:5000", ("2001:db8::1", 5000)), "[2001:db8::1]:5000")
        self.assertEqual(_believed("192.0.2.1", ("::ffff:192.0.2.1", 5000)), "192.0.2.1")
        self.assertEqual(_believed("localhost", ("::1", 5000)), "localhost")
        for local in (("192.0.2.1", 5000), ("not an address", 5000), None):
            self.assertIsNone(_believed("localhost", local))
            self.assertIsNone(_believed("127.0.0.1", local))

    def test_single_labels(self) -> None:
        """A name without a dot meets no wildcard."""
        names = ("*.", "*")
        self.assertIsNone(believed("a", public_urls=(), certificate_names=names, local_address=None))


class BaseURLTests(SynchronousTestCase):
    """What clients are told to call us."""

    def test_believed(self) -> None:
        """The client's own name and port stand, with the scheme that it used."""
        for host, scheme, url in (
            ("mirror.example.com:8443", "https", "https://mirror.example.com:8443"),
            ("mirror.example.com:5000", "http", "http://mirror.example.com:5000"),
            ("cert.example", "https", "https://cert.example"),
            ("127.0.0.1:5000", "http", "http://127.0.0.1:5000"),
        ):
            self.assertEqual(_base_url(host, scheme), url)

    def test_public_scheme(self) -> None:
        """Where the authority is a public URL's, that URL's scheme stands."""
        for host, scheme, url in (
            ("mirror.example.com", "http", "https://mirror.example.com"),
            ("mirror.example.com:443", "http", "https://mirror.example.com:443"),
            ("mirror.example.com:80", "http", "http://mirror.example.com:80"),
            ("lan.example:5000", "https", "http://lan.example:5000"),
        ):
            self.assertEqual(_base_url(host, scheme), url)

    def test_both_schemes(self) -> None:
        """An authority that is public under both schemes keeps the one that the client used."""
        both = ("https://m.example", "http://m.example")
        for scheme in ("http", "https"):
            self.assertEqual(_base_url("m.example", scheme, both), f"{scheme}://m.example")

    def test_not_believed(self) -> None:
        """Otherwise the first public URL stands."""
        for host in ("evil.example", 'evil"', None):
            self.assertEqual(_base_url(host, "http"), "https://mirror.example.com")
        self.assertEqual(_base_url(None, "http", ("https://m.example/",)), "https://m.example")

    def test_no_public_url(self) -> None:
        """Without one the socket's own address stands."""
        for local, netloc in (
            (("192.0.2.1", 5000), "192.0.2.1:5000"),
            (("::ffff:192.0.2.1", 5000), "192.0.2.1:5000"),
            (("2001:db8::1", 5000), "[2001:db8::1]:5000"),
            (("fe80::1%eth0", 5000), "[fe80::1]:5000"),
            (("name", 5000), "name:5000"),
            (None, "localhost"),
        ):
            self.assertEqual(_base_url("evil.example", "http", (), local), f"http://{netloc}")
