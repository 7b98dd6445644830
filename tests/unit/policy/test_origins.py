"""Tests for `docxy.policy.origins`."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.origins import MAX_URL, Origin, UrlRefused, redact

GOOD = (
    ("https://ghcr.io", Origin("https", "ghcr.io", 443), "https://ghcr.io"),
    ("HTTPS://GHCR.io/token?x=1#y", Origin("https", "ghcr.io", 443), "https://ghcr.io"),
    ("http://r.lan:5000/", Origin("http", "r.lan", 5000), "http://r.lan:5000"),
    ("http://r.lan:80", Origin("http", "r.lan", 80), "http://r.lan"),
    ("https://r.lan:00443", Origin("https", "r.lan", 443), "https://r.lan"),
    ("https://a?b@c", Origin("https", "a", 443), "https://a"),
    ("https://a#b@c", Origin("https", "a", 443), "https://a"),
    ("https://a/b@c", Origin("https", "a", 443), "https://a"),
    ("https://192.0.2.1:8443/x", Origin("https", "192.0.2.1", 8443), "https://192.0.2.1:8443"),
    ("https://[2001:DB8::0:1]:1", Origin("https", "2001:db8::1", 1), "https://[2001:db8::1]:1"),
    ("https://[::1]", Origin("https", "::1", 443), "https://[::1]"),
    ("https://xn--mnchen-3ya.example:65535", Origin("https", "xn--mnchen-3ya.example", 65535), None),
    ("https://under_score.s3.example", Origin("https", "under_score.s3.example", 443), None),
    ("https://0x7f.example", Origin("https", "0x7f.example", 443), None),
)

BAD = (
    "",
    "ghcr.io",
    "//ghcr.io",
    "/path",
    "https:",
    "https:/ghcr.io",
    "https://",
    "https:///x",
    "https://:443",
    "https://?x",
    "ftp://ghcr.io",
    "file:///etc/passwd",
    "javascript:alert(1)",
    " https://ghcr.io",
    "https://ghcr.io ",
    "https://user@ghcr.io",
    "https://user:secret@ghcr.io",
    "https://@ghcr.io",
    "https://ghcr.io@evil.example",
    "https://ghcr.io:443@evil.example/",
    "https://ghcr.io\\@evil.example",
    "https://evil.example\\.ghcr.io",
    "https://ghcr.io:0",
    "https://ghcr.io:65536",
    "https://ghcr.io:",
    "https://ghcr.io:-1",
    "https://ghcr.io:4_4",
    "https://ghcr.io:٤٤٣",
    "https://ghcr.io.",
    "https://.ghcr.io",
    "https://ghcr..io",
    "https://-ghcr.io",
    "https://ghcr-.io",
    "https://münchen.example",
    "https://ghcr。io",
    "https://gh%63r.io",
    "https://ghcr.io%00.evil.example",
    "https://[::1",
    "https://::1",
    "https://[::1]x",
    "https://[::1%25eth0]",
    "https://[1.2.3.4]",
    "https://[:::]",
    "https://[]",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0x7f.0.0.0x1",
    "https://0177.0.0.1",
    "https://1.2.3.4.5",
    "https://256.1.1.1",
    "https://a.0x",
    "https://ghcr.io/a b",
    "https://ghcr.io/\r\nHost: evil",
    "https://ghcr.io/\x7f",
    "https://ghcr.io/é",
    "https://" + "a" * 64 + ".example",
    "https://" + "a." * 126 + "aa",
    "https://ghcr.io/" + "a" * MAX_URL,
)


class OriginTests(SynchronousTestCase):
    """Reading origins."""

    def test_good(self) -> None:
        """Scheme, host and port are found whatever follows them, and written in one form."""
        for url, origin, text in GOOD:
            self.assertEqual(Origin.of(url), origin)
            if text is not None:
                self.assertEqual(str(origin), text)

    def test_bad(self) -> None:
        """URLs that two readers could read in two ways are refused."""
        for url in BAD:
            with self.assertRaises(UrlRefused, msg=url):
                Origin.of(url)

    def test_refusals_repeat_nothing(self) -> None:
        """No part of a URL reaches the reason."""
        for url in BAD:
            try:
                Origin.of(url)
            except UrlRefused as refused:
                self.assertNotIn("secret", str(refused))
                self.assertNotIn("evil", str(refused))

    def test_longest(self) -> None:
        """Exactly 8 KiB are still read."""
        url = "https://ghcr.io/"
        self.assertEqual(Origin.of(url + "a" * (MAX_URL - len(url))).host, "ghcr.io")

    def test_literals(self) -> None:
        """Addresses are told from names."""
        for url, literal in (
            ("https://192.0.2.1", True),
            ("https://[::1]", True),
            ("https://ghcr.io", False),
            ("https://1.example", False),
            ("https://localhost", False),
        ):
            self.assertEqual(Origin.of(url).is_literal, literal)

    @settings(derandomize=True, max_examples=300)
    @given(st.sampled_from([url for url, _, _ in GOOD] + list(BAD)), st.text(max_size=8), st.integers(0, 30))
    def test_agrees_with_the_standard_library(self, url: str, noise: str, at: int) -> None:
        """Nothing but our error escapes, and whatever is read has the host that urllib reads."""
        mangled = url[:at] + noise + url[at:]
        try:
            origin = Origin.of(mangled)
        except UrlRefused:
            return
        split = urlsplit(mangled)
        self.assertEqual((split.scheme, split.port or origin.port), (origin.scheme, origin.port))
        self.assertEqual(Origin.of(str(origin)), origin)
        if not origin.is_literal:
            self.assertEqual(split.hostname, origin.host)


class RedactTests(SynchronousTestCase):
    """URLs in messages."""

    def test_secrets_are_left_out(self) -> None:
        """Origin and path remain; the query, the fragment and malformed URLs do not."""
        for url, shown in (
            ("https://cdn.example/data?X-Amz-Signature=abc", "https://cdn.example/data"),
            ("https://CDN.example:443/data#abc", "https://cdn.example/data"),
            ("https://cdn.example?sig=abc", "https://cdn.example"),
            ("https://user:pass@cdn.example/", "(a malformed URL)"),
            ("no url", "(a malformed URL)"),
            ("https://cdn.example/\n", "(a malformed URL)"),
        ):
            self.assertEqual(redact(url), shown)

    def test_bounded(self) -> None:
        """A message never carries a URL of kilobytes."""
        self.assertEqual(len(redact("https://cdn.example/" + "a" * 5000)), 256)
