"""
Tests for `docxy.oci.queries`.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.queries import MAX_QUERY, bound_page, check_query, take_ns

quick = settings(derandomize=True, max_examples=150, deadline=None)

NS = [
    (b"", None, b""),
    (b"n=1", None, b"n=1"),
    (b"ns=docker.io", "docker.io", b""),
    (b"ns=Docker.IO&n=5", "docker.io", b"n=5"),
    (b"a=%2f&ns=localhost%3A5000&b=+", "localhost:5000", b"a=%2f&b=+"),
    (b"n%73=ghcr.io", "ghcr.io", b""),
    (b"&ns=a&&", "a", b"&&"),
    (b"NS=a", None, b"NS=a"),
    (b"ns=a--b.c_d.xn--p1ai", "a--b.c_d.xn--p1ai", b""),
    (b"ns=" + b"a" * 255, "a" * 255, b""),
]
BAD_NS = [
    b"ns",
    b"ns=",
    b"ns=a&ns=a",
    b"ns=a&n%73=b",
    b"ns=user@evil",
    b"ns=a.",
    b"ns=.a",
    b"ns=a..b",
    b"ns=-a",
    b"ns=a-",
    b"ns=a:",
    b"ns=a:123456",
    b"ns=a/b",
    b"ns=a%2Fb",
    b"ns=%2561",
    b"ns=a%00",
    b"ns=a+b",
    b"ns=[::1]",
    b"ns=%E2%84%AA8s.io",
    b"ns=" + b"a" * 256,
    b"ns=" + b"a-" * 4000,
    b"ns=" + b"a." * 4000,
]
PAGES = [
    (b"", b""),
    (b"n=0", b"n=0"),
    (b"n=1000&last=x", b"n=1000&last=x"),
    (b"n=%31", b"n=%31"),
    (b"n=0001000", b"n=0001000"),
    (b"last=n&n=1001", b"last=n&n=1000"),
    (b"%6e=99999&n=5", b"n=1000&n=5"),
    (b"n=" + b"9" * 8000, b"n=1000"),
]
BAD_PAGES = [b"n", b"n=", b"n=-1", b"n=1.0", b"n=x", b"n=1_0", b"n=+1", b"n=%D9%A1", b"n=5&n="]


def error(parse: Callable[[bytes], object], query: bytes) -> tuple[int, str] | None:
    """Status and code of the error that a query meets, None where it meets none."""
    try:
        parse(query)
    except RegistryError as refusal:
        return refusal.status, refusal.code
    return None


class CheckTests(SynchronousTestCase):
    def test_sendable(self) -> None:
        """Visible ASCII passes, to 8 KiB."""
        for query in (b"", b"a=b&c=%20;d='\"~", b"a" * MAX_QUERY):
            self.assertIsNone(error(check_query, query))

    def test_refused(self) -> None:
        """What would change or break the request on its way up is a 400."""
        for query in (b" ", b"a\r\nb", b"\x00", b"\x7f", b"\xc3\xa9", b"a#b", b"\t", b"a" * (MAX_QUERY + 1)):
            self.assertEqual(error(check_query, query), (400, "UNSUPPORTED"), query[:9])


class NamespaceTests(SynchronousTestCase):
    def test_taken_out(self) -> None:
        """The namespace is decoded, lower-cased and taken out; the rest keeps every byte."""
        for query, ns, rest in NS:
            self.assertEqual(take_ns(query), (ns, rest))

    def test_refused(self) -> None:
        """Two namespaces, an empty one and what is no host are a 400."""
        for query in BAD_NS:
            self.assertEqual(error(take_ns, query), (400, "UNSUPPORTED"), query)

    @quick
    @given(st.binary(max_size=60) | st.text("ns=&%37.:a", max_size=30).map(str.encode))
    def test_any_query(self, query: bytes) -> None:
        """Any query is taken apart or is a 400, and no namespace stays behind."""
        if error(take_ns, query) is None:
            self.assertEqual(take_ns(take_ns(query)[1]), (None, take_ns(query)[1]))
        else:
            self.assertEqual(error(take_ns, query), (400, "UNSUPPORTED"))

    @quick
    @given(st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){0,3}(:[0-9]{1,5})?", fullmatch=True))
    def test_round_trip(self, ns: str) -> None:
        """Every host comes back as it was quoted."""
        self.assertEqual(take_ns(b"ns=" + quote(ns, safe="").encode()), (ns, b""))


class PageTests(SynchronousTestCase):
    def test_bounded(self) -> None:
        """A page has at most 1000 entries; what needs no change keeps every byte."""
        for query, bounded in PAGES:
            self.assertEqual(bound_page(query), bounded)

    def test_refused(self) -> None:
        """What is no whole number is PAGINATION_NUMBER_INVALID."""
        for query in BAD_PAGES:
            self.assertEqual(error(bound_page, query), (400, "PAGINATION_NUMBER_INVALID"), query)

    @quick
    @given(st.binary(max_size=60) | st.text("n=&%3169", max_size=30).map(str.encode))
    def test_any_query(self, query: bytes) -> None:
        """Any query is bounded once and for all, or is PAGINATION_NUMBER_INVALID."""
        if error(bound_page, query) is None:
            self.assertEqual(bound_page(bound_page(query)), bound_page(query))
        else:
            self.assertEqual(error(bound_page, query), (400, "PAGINATION_NUMBER_INVALID"))
