"""Tests for `docxy.content`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy import content
from docxy.answers import Answer, Caller
from docxy.interfaces import HeaderLines, Reply, Span
from docxy.oci.errors import RegistryError
from docxy.oci.names import Repository
from docxy.oci.ranges import ByteRange
from docxy.oci.routes import parse
from docxy.oci.verify import DigestMismatch
from docxy.policy.addressing import Target
from docxy.testing import MemoryBody, reply
from tests.unit.content_rig import RANGES, TYPE, caller, expected, ranged, route
from tests.unit.mirror_rig import BLOB, BY_DIGEST, CONTENT, DIGEST, HUB, MANIFEST, body_of, stream_of, values

SIZE = len(CONTENT)
OTHER = f"sha256:{'a' * 64}"


class RequestTests(SynchronousTestCase):
    """What is asked of upstream."""

    def test_ranges(self) -> None:
        """A blob's ranges go up as they came; manifests, lists and HEADs are asked for whole."""
        lines = ((b"range", b"bytes=5-9, 20-"), (b"If-Range", b'"x"'), (b"If-None-Match", b'"y"'))
        rest = [(b"If-None-Match", b'"y"'), (b"Accept-Encoding", b"identity")]
        both = [(b"Range", b"bytes=5-9, 20-"), (b"If-Range", b'"x"'), *rest]
        for path, method, wanted in (
            (BLOB, b"GET", both),
            (BLOB, b"HEAD", rest),
            (MANIFEST, b"GET", rest),
            ("/v2/a/b/tags/list", b"GET", rest),
        ):
            asked = content.request_headers(route(path), caller(*lines, method=method), None)
            self.assertEqual(asked, wanted, (path, method))

    def test_part(self) -> None:
        """A part is asked for in the client's words, but by our range and without conditions."""
        lines = (
            (b"Range", b"bytes=5-"),
            (b"If-Range", b'"x"'),
            (b"If-None-Match", b'"y"'),
            (b"Accept", b"*/*"),
        )
        rest = [(b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"), (b"Authorization", b"Bearer a")]
        for wanted, told in ((ByteRange(7, 9), b"bytes=7-9"), (ByteRange(7, None), b"bytes=7-")):
            asked = content.part_headers(caller(*lines), b"Bearer a", wanted)
            self.assertEqual(asked, [*rest, (b"Range", told)])

    def test_target(self) -> None:
        """Path and query are made of what was parsed."""
        target = Target(HUB, Repository.parse("a/b"), "", "/hub", None, "", "prefix")
        for path in (BLOB, MANIFEST, f"/v2/a/b/referrers/{DIGEST}", "/v2/a/b/tags/list", "/v2/_catalog"):
            asked = parse(b"GET", path.encode(), b"n=5")
            told = path.replace("library/alpine", "a/b").encode() + b"?n=5"
            self.assertEqual(content.request_target(asked, target), told)
        self.assertEqual(content.request_target(route("/v2/_catalog"), target), b"/v2/_catalog")

    def test_tail(self) -> None:
        """A tail is one range that begins behind the first byte."""
        for value, expected_ in (
            ("bytes=1-", True),
            ("bytes=5-9", True),
            ("bytes=0-", False),
            ("bytes=-5", False),
            ("bytes=1-2,5-6", False),
            ("rows=1-", False),
        ):
            self.assertEqual(content.is_tail(ranged(value)), expected_, value)
        self.assertFalse(content.is_tail(caller()))


class FitsTests(SynchronousTestCase):
    """Good answers, and which of them can be meant."""

    def test_table(self) -> None:
        """Whole is always right; in part or unchanged only for who asked for that."""
        table: tuple[tuple[int, str, Caller, bool], ...] = (
            (200, BLOB, caller(), True),
            (200, BLOB, ranged("bytes=1-"), True),
            (206, BLOB, ranged("bytes=1-2"), True),
            (206, BLOB, caller(), False),
            (206, BLOB, caller((b"Range", b"bytes=1-2"), method=b"HEAD"), False),
            (206, MANIFEST, ranged("bytes=1-2"), False),
            (304, MANIFEST, caller((b"If-None-Match", b"x")), True),
            (304, BLOB, caller((b"If-Modified-Since", b"x")), True),
            (304, MANIFEST, caller(), False),
            (204, BLOB, caller(), False),
            (302, BLOB, caller(), False),
        )
        for status, path, who, fits in table:
            theirs = reply(status, b"ab", [(b"Content-Range", b"bytes 1-2/3")])
            self.assertEqual(content.fits(route(path), who, theirs), fits, (status, path))


class HeadTests(SynchronousTestCase):
    """What is told without content."""

    def test_head(self) -> None:
        """The size is that of a GET, and the digest the one that was asked for."""
        theirs = [TYPE, (b"Docker-Content-Digest", OTHER.encode()), (b"ETag", b'"e"')]
        for path, digest in ((BLOB, DIGEST), (BY_DIGEST, DIGEST), (MANIFEST, OTHER)):
            answer = content.head(route(path), reply(200, headers=theirs), 77)
            self.assertEqual((answer.status, answer.length, answer.content), (200, 77, b""))
            self.assertEqual(values(answer, b"Docker-Content-Digest"), [digest.encode()])
            self.assertEqual(
                (values(answer, b"ETag"), values(answer, b"Content-Type")), ([b'"e"'], [TYPE[1]])
            )

    def test_no_digest(self) -> None:
        """A tag's digest is upstream's word, left out where it is none: clients fail at a bad one."""
        for told in ([], [(b"Docker-Content-Digest", b"sha256:zz")], [(b"Docker-Content-Digest", b"")]):
            answer = content.head(route(MANIFEST), reply(200, headers=told), None)
            self.assertEqual((values(answer, b"Docker-Content-Digest"), answer.length), ([], None))

    def test_not_modified(self) -> None:
        """A 304 has headers and neither length nor content; upstream's body is let go."""
        body = MemoryBody()
        for path in (BLOB, MANIFEST, "/v2/a/b/tags/list"):
            body = MemoryBody()
            answer = content.not_modified(route(path), reply(304, body, [(b"ETag", b'"e"')]))
            self.assertEqual((answer.status, answer.length, answer.content), (304, None, b""))
            self.assertEqual((values(answer, b"ETag"), body.fate), ([b'"e"'], "dropped"))

    def test_total_size(self) -> None:
        """The size is in Content-Range, or is the length of all of it."""

        def told(value: bytes) -> HeaderLines:
            return [(b"Content-Range", value)]

        table: tuple[tuple[Reply, int | None], ...] = (
            (reply(206, b"a", told(b"bytes 0-0/256")), 256),
            (reply(206, b"a", told(b"bytes 0-0/*")), None),
            (reply(206, b"a", told(b"nonsense")), None),
            (reply(206, b"a"), None),
            (reply(416, b"", told(b"bytes */0")), 0),
            (reply(200, length=99), 99),
            (reply(200, MemoryBody()), None),
            (reply(401, b"{}"), None),
        )
        for answer, size in table:
            self.assertEqual(content.total_size(answer), size)


class BlobTests(SynchronousTestCase):
    """Blobs, on their way."""

    def made(self, who: Caller, theirs: Reply, path: str = BLOB, verify: bool = True) -> Answer:
        """The answer to a blob's GET."""
        return content.blob(route(path), replace(HUB, verify=verify), who, theirs)

    def test_whole(self) -> None:
        """A whole blob is verified on its way, and has the digest that CDNs do not tell."""
        theirs = reply(200, CONTENT, [(b"Content-Type", b"application/octet-stream")], host="cdn.example")
        answer = self.made(caller(), theirs)
        stream = stream_of(answer)
        self.assertEqual((answer.status, answer.length, answer.source), (200, SIZE, "relay"))
        self.assertEqual(values(answer, b"Docker-Content-Digest"), [DIGEST.encode()])
        self.assertEqual((stream.span, stream.is_mendable), (Span(0, SIZE, SIZE), True))
        self.assertIs(stream.reply, theirs)
        assert stream.verifier is not None
        stream.verifier.feed(CONTENT)
        stream.verifier.finish()
        stream.verifier.feed(b"more")
        self.assertRaises(DigestMismatch, stream.verifier.finish)

    def test_unknown_size(self) -> None:
        """A blob of unknown size is relayed so, and verified; no range can be cut from it."""
        for who in (caller(), ranged("bytes=5-9")):
            answer = self.made(who, reply(200, MemoryBody(CONTENT)))
            self.assertEqual(
                (answer.status, answer.length, stream_of(answer).span), (200, None, Span(0, None, None))
            )
            self.assertIsNotNone(stream_of(answer).verifier)

    def test_partial(self) -> None:
        """206 and its headers pass untouched; what is one part of stored bytes can be mended."""
        multipart = (b"Content-Type", b"multipart/byteranges; boundary=x")
        for headers, span, is_mendable in (
            ([(b"Content-Range", b"bytes 5-9/256")], Span(5, 10, 256), True),
            ([(b"Content-Range", b"bytes 5-9/*")], Span(5, 10, None), True),
            ([(b"Content-Range", b"bytes 5-9/256"), (b"Content-Encoding", b"gzip")], Span(5, 10, 256), False),
            ([multipart], Span(0, 5, None), False),
            ([(b"Content-Range", b"bytes 5-19/256")], Span(0, 5, None), False),
        ):
            answer = self.made(ranged("bytes=5-9"), reply(206, MemoryBody(), headers, length=5))
            stream = stream_of(answer)
            self.assertEqual((answer.status, answer.length, stream.verifier), (206, 5, None))
            self.assertEqual([line for line in answer.headers if line in headers], headers)
            self.assertEqual((stream.span, stream.is_mendable), (span, is_mendable), headers)

    def test_200_to_range(self) -> None:
        """A 200 to the client's own range becomes the 206 that it asked for."""
        for value, first, end, verified in (
            ("bytes=5-9", 5, 10, False),
            ("bytes=0-", 0, 256, True),
            ("bytes=-6", 250, 256, False),
        ):
            theirs = reply(200, CONTENT, [(b"Content-Range", b"bytes 1-2/3")])
            answer = self.made(ranged(value), theirs)
            stream = stream_of(answer)
            self.assertEqual((answer.status, answer.length), (206, end - first))
            self.assertEqual((stream.span, stream.is_mendable), (Span(first, end, SIZE), True))
            told = f"bytes {first}-{end - 1}/256".encode()
            self.assertEqual(values(answer, b"Content-Range"), [told])
            self.assertEqual(stream.verifier is not None, verified)

    def test_200_stays(self) -> None:
        """Several ranges, nonsense, and a condition that did not hold leave a 200 whole."""
        for who in (
            ranged("bytes=0-1,5-6"),
            ranged("rows=1-2"),
            caller((b"Range", b"bytes=5-"), (b"If-Range", b'"old"')),
        ):
            answer = self.made(who, reply(200, CONTENT, [(b"Content-Range", b"bytes 0-255/256")]))
            self.assertEqual((answer.status, answer.length), (200, SIZE))
            self.assertEqual(stream_of(answer).span, Span(0, SIZE, SIZE))
            self.assertEqual(values(answer, b"Content-Range"), [])
            self.assertIsNotNone(stream_of(answer).verifier)

    def test_unsatisfiable(self) -> None:
        """A range behind the end of a 200 is 416 with the size, and the body is let go."""
        body = MemoryBody(CONTENT)
        error = self.assertRaises(
            RegistryError, self.made, ranged("bytes=256-"), reply(200, body, length=SIZE)
        )
        self.assertEqual((error.status, error.headers), (416, (("Content-Range", "bytes */256"),)))
        self.assertEqual(body.fate, "dropped")

    def test_unverified(self) -> None:
        """What cannot be or shall not be checked is relayed as it is, codings too."""
        coded = [(b"Content-Encoding", b"gzip")]
        for answer in (
            self.made(caller(), reply(200, CONTENT), verify=False),
            self.made(caller(), reply(200, CONTENT), path="/v2/a/b/blobs/blake3:abc"),
            self.made(caller(), reply(200, CONTENT, coded)),
        ):
            self.assertIsNone(stream_of(answer).verifier)
            self.assertEqual((answer.status, answer.length), (200, SIZE))
        self.assertEqual(
            values(self.made(caller(), reply(200, CONTENT, coded)), b"Content-Encoding"), [b"gzip"]
        )

    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(RANGES, st.integers(0, 30))
    def test_reference(self, value: str, size: int) -> None:
        """The window of a 200 is that slice of the content that the range means, or 416."""
        wanted = expected(value, size)
        if wanted is None:
            self.assertRaises(RegistryError, self.made, ranged(value), reply(200, CONTENT[:size]))
            return
        answer = self.made(ranged(value), reply(200, CONTENT[:size]))
        self.assertEqual(stream_of(answer).span, Span(wanted[0], wanted[1] + 1, size))
        self.assertEqual(answer.length, wanted[1] - wanted[0] + 1)


class StreamedTests(SynchronousTestCase):
    """Lists, as they are."""

    def test_get(self) -> None:
        """A GET streams, unverified."""
        answer = content.streamed(caller(), reply(200, CONTENT), [TYPE])
        self.assertEqual((answer.headers, answer.length), ((TYPE,), SIZE))
        self.assertEqual((body_of(answer).fate, stream_of(answer).verifier), ("untaken", None))
        self.assertEqual(
            (stream_of(answer).span, stream_of(answer).is_mendable), (Span(0, SIZE, None), False)
        )

    def test_head(self) -> None:
        """A HEAD tells of it only."""
        body = MemoryBody()
        answer = content.streamed(caller(method=b"HEAD"), reply(200, body, length=9), [TYPE])
        self.assertEqual((answer.content, answer.length, body.fate), (b"", 9, "dropped"))
