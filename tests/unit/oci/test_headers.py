"""
Tests for `docxy.oci.headers`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.headers import Answer, after_origin_change, request_to_upstream, response_to_client

quick = settings(derandomize=True, max_examples=100, deadline=None)

IDENTITY = (b"Accept-Encoding", b"identity")
OURS = [
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"default-src 'none'; sandbox"),
    (b"Cache-Control", b"private, no-transform"),
    (b"Docker-Distribution-Api-Version", b"registry/2.0"),
]
KINDS: tuple[Answer, ...] = ("manifest", "blob", "list", "error")
NAMES = [
    b"accept",
    b"range",
    b"warning",
    b"etag",
    b"content-type",
    b"set-cookie",
    b"authorization",
    b"x",
]
LINES = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=8)), max_size=8)


class RequestTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """What the list names goes up, canonically spelt and in its order, all lines of Accept too."""
        lines = [
            (b"accept", b"a"),
            (b"USER-AGENT", b"docker/29"),
            (b"Accept", b"b, c"),
            (b"range", b"bytes=5-"),
            (b"if-range", b'"x"'),
            (b"if-none-match", b'"y"'),
            (b"If-None-Match", b'"z"'),
            (b"if-modified-since", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        ]
        self.assertEqual(
            request_to_upstream(lines, authorization=b"Bearer t"),
            [
                (b"Accept", b"a"),
                (b"User-Agent", b"docker/29"),
                (b"Accept", b"b, c"),
                (b"Range", b"bytes=5-"),
                (b"If-Range", b'"x"'),
                (b"If-None-Match", b'"y"'),
                (b"If-None-Match", b'"z"'),
                (b"If-Modified-Since", b"Thu, 01 Jan 1970 00:00:00 GMT"),
                IDENTITY,
                (b"Authorization", b"Bearer t"),
            ],
        )

    def test_dropped(self) -> None:
        """Nothing else goes up: no credential of the client's, no address, no trace."""
        names = (
            "Authorization Proxy-Authorization Cookie Host Connection Keep-Alive Proxy-Connection TE Trailer "
            "Transfer-Encoding Upgrade Accept-Encoding Forwarded X-Forwarded-For X-Forwarded-Proto X-Real-IP "
            "Traceparent Tracestate Expect Content-Length Docker-Distribution-Api-Version X-Docker-Token"
        )
        lines = [(name.encode(), b"x") for name in names.split()]
        self.assertEqual(request_to_upstream(lines, authorization=None), [IDENTITY])

    def test_single(self) -> None:
        """Of two ranges the first one stands."""
        lines = [(b"Range", b"bytes=0-1"), (b"Range", b"bytes=2-3")]
        self.assertEqual(request_to_upstream(lines, authorization=None), [(b"Range", b"bytes=0-1"), IDENTITY])

    def test_values(self) -> None:
        """Values with control characters or over 16 KiB are dropped, a user agent is cut at 1 KiB."""
        lines = [
            (b"Accept", b"a\r\nX: y"),
            (b"Accept", b"a\x00"),
            (b"Accept", b"a\x7f"),
            (b"Accept", b"a" * 16385),
            (b"Accept", b"a" * 16384),
            (b"User-Agent", b"u" * 1025),
        ]
        self.assertEqual(
            request_to_upstream(lines, authorization=None),
            [(b"Accept", b"a" * 16384), (b"User-Agent", b"u" * 1024), IDENTITY],
        )

    def test_authorization(self) -> None:
        """A token of 40 KiB passes, one with control characters does not."""
        token = b"Bearer " + b"t" * 40960
        self.assertEqual(request_to_upstream([], authorization=token), [IDENTITY, (b"Authorization", token)])
        self.assertEqual(request_to_upstream([], authorization=b"Bearer a\nb"), [IDENTITY])

    def test_origin_change(self) -> None:
        """Another origin gets the same request without any credential."""
        lines = [
            (b"Authorization", b"a"),
            (b"proxy-authorization", b"b"),
            (b"COOKIE", b"c"),
            (b"Range", b"bytes=5-"),
        ]
        self.assertEqual(after_origin_change(lines), [(b"Range", b"bytes=5-")])

    @quick
    @given(LINES)
    def test_any_lines(self, lines: list[tuple[bytes, bytes]]) -> None:
        """Whatever comes, no control character and no foreign name goes up."""
        for name, value in request_to_upstream(lines, authorization=None):
            self.assertIn(name, (b"Accept", b"Range", b"Accept-Encoding"))
            self.assertTrue(min(value, default=32) >= 32 and 127 not in value)


class ResponseTests(SynchronousTestCase):
    def passed(self, kind: Answer, *names: bytes) -> list[bytes]:
        """Which of these headers a client is shown."""
        lines = response_to_client([(name, b"1") for name in names], kind=kind)
        return [name for name, _ in lines[: -len(OURS)]]

    def test_ours(self) -> None:
        """Every answer says that it is private, that no browser may run it, and which API it speaks."""
        for kind in KINDS:
            self.assertEqual(response_to_client([], kind=kind), OURS)

    def test_always(self) -> None:
        """Limits, warnings and the form of the body pass on every answer, canonically spelt."""
        names = [
            b"Content-Encoding",
            b"Content-Type",
            b"RateLimit",
            b"RateLimit-Limit",
            b"RateLimit-Policy",
            b"RateLimit-Remaining",
            b"RateLimit-Reset",
            b"Vary",
            b"Warning",
        ]
        for kind in KINDS:
            self.assertEqual(self.passed(kind, *(name.lower() for name in names)), names)

    def test_by_kind(self) -> None:
        """Validators, digest, ranges and OCI headers pass where they mean something."""
        names = (
            b"Docker-Content-Digest",
            b"Accept-Ranges",
            b"Content-Range",
            b"ETag",
            b"Last-Modified",
            b"Retry-After",
            b"OCI-Subject",
        )
        digest, accept, content, etag, modified, wait, *rest = names
        rest = [etag, modified, *rest]
        self.assertEqual(self.passed("manifest", *names), [digest, *rest])
        self.assertEqual(self.passed("blob", *names), [accept, content, *rest])
        self.assertEqual(self.passed("list", *names), rest)
        self.assertEqual(self.passed("error", *names), [content, wait])

    def test_pages(self) -> None:
        """A blob is no page, whatever its registry calls it; other types are kept."""
        for told, shown in (
            (b"text/html", False),
            (b" Text/Plain; charset=utf-8", False),
            (b"application/XHTML+xml", False),
            (b"image/svg+xml", False),
            (b"application/xml", False),
            (b"application/octet-stream", True),
            (b"application/vnd.oci.image.layer.v1.tar+gzip", True),
            (b"application/vnd.oci.image.config.v1+json", True),
        ):
            expected = told if shown else b"application/octet-stream"
            [line, *_] = response_to_client([(b"content-type", told)], kind="blob")
            self.assertEqual(line, (b"Content-Type", expected))
            [line, *_] = response_to_client([(b"content-type", told)], kind="manifest")
            self.assertEqual(line, (b"Content-Type", told))

    def test_oci(self) -> None:
        """Of the OCI headers those of the specification pass, the namespace is ours to answer."""
        names = (b"OCI-Chunk-Min-Length", b"OCI-Filters-Applied", b"OCI-Subject", b"OCI-Tag")
        self.assertEqual(self.passed("list", *names, b"OCI-Namespace", b"OCI-Other"), list(names))

    def test_dropped(self) -> None:
        """What is hop by hop, tells of upstream, or is set by who answers does not pass."""
        names = (
            "Connection Keep-Alive Transfer-Encoding Trailer Upgrade Set-Cookie Server Via Alt-Svc Date "
            "Age Expires Cache-Control Strict-Transport-Security X-Amz-Id-2 CF-Ray X-Cache NEL Report-To "
            "Access-Control-Allow-Origin WWW-Authenticate Link Location Content-Length "
            "Docker-RateLimit-Source X-Registry-Supports-Signatures Docker-Distribution-Api-Version "
            "Proxy-Authenticate Content-Location"
        )
        for kind in KINDS:
            self.assertEqual(self.passed(kind, *(name.encode() for name in names.split())), [])

    def test_values(self) -> None:
        """Values with control characters or over 8 KiB are dropped, and a second single one."""
        lines = [
            (b"ETag", b"a\r\nSet-Cookie: b"),
            (b"ETag", b"a" * 8193),
            (b"ETag", b"a" * 8192),
            (b"ETag", b"b"),
            (b"Vary", b"a"),
            (b"Vary", b"b"),
        ]
        self.assertEqual(
            response_to_client(lines, kind="blob"),
            [(b"ETag", b"a" * 8192), (b"Vary", b"a"), (b"Vary", b"b"), *OURS],
        )

    def test_warnings(self) -> None:
        """Warnings pass up to 4096 bytes in all."""
        lines = [(b"Warning", b"a" * 4000), (b"Warning", b"b" * 96), (b"Warning", b"c")]
        self.assertEqual(response_to_client(lines, kind="list"), [*lines[:2], *OURS])

    @quick
    @given(LINES, st.sampled_from(KINDS))
    def test_any_lines(self, lines: list[tuple[bytes, bytes]], kind: Answer) -> None:
        """Whatever comes, no control character and no foreign name reaches the client."""
        for name, value in response_to_client(lines, kind=kind)[: -len(OURS)]:
            self.assertIn(name, (b"Warning", b"ETag", b"Content-Type"))
            self.assertTrue(min(value, default=32) >= 32 and 127 not in value)
