"""Tests for `docxy.content`: manifests."""

from __future__ import annotations

import gzip
from hashlib import sha512

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy import content
from docxy.answers import Answer, Caller
from docxy.interfaces import HeaderLines, UpstreamBroken
from docxy.oci.errors import RegistryError
from docxy.testing import reply
from tests.unit.content_rig import RANGES, TYPE, caller, expected, ranged, route
from tests.unit.mirror_rig import BY_DIGEST, CONTENT, DIGEST, MANIFEST, values

SIZE = len(CONTENT)


class ManifestTests(SynchronousTestCase):
    """Manifests, whole in memory."""

    def made(self, path: str, who: Caller, headers: HeaderLines = (), body: bytes = CONTENT) -> Answer:
        """The answer to a manifest's GET."""
        return content.manifest(route(path), who, reply(200, headers=headers), body)

    def refused(
        self, path: str, who: Caller, headers: HeaderLines = (), body: bytes = CONTENT
    ) -> RegistryError:
        """The refusal of one."""
        error: RegistryError = self.assertRaises(RegistryError, self.made, path, who, headers, body)
        return error

    def test_whole(self) -> None:
        """Bytes, type and digest pass; what a shared cache could keep it by does not."""
        answer = self.made(BY_DIGEST, caller(), [TYPE, (b"Cache-Control", b"public"), (b"Age", b"9")])
        self.assertEqual((answer.status, answer.content, answer.length), (200, CONTENT, SIZE))
        self.assertEqual(
            answer.headers,
            (
                TYPE,
                (b"X-Content-Type-Options", b"nosniff"),
                (b"Content-Security-Policy", b"default-src 'none'; sandbox"),
                (b"Cache-Control", b"private, no-transform"),
                (b"Docker-Distribution-Api-Version", b"registry/2.0"),
                (b"Docker-Content-Digest", DIGEST.encode()),
            ),
        )

    def test_checked(self) -> None:
        """Bytes that are not the digest's are refused, by the reference or by upstream's own word."""
        told = (b"Docker-Content-Digest", DIGEST.encode())
        self.assertEqual(self.made(MANIFEST, caller(), [told]).content, CONTENT)
        sha = f"/v2/a/b/manifests/sha512:{sha512(CONTENT).hexdigest()}"
        self.assertEqual(self.made(sha, caller(), [told]).content, CONTENT)
        for path in (BY_DIGEST, MANIFEST, sha):
            error = self.assertRaises(UpstreamBroken, self.made, path, caller(), [told], CONTENT[:-1])
            self.assertIn("broken manifest", str(error))

    def test_uncheckable(self) -> None:
        """Without a digest, with one of an unknown kind, and under a coding nothing can be checked."""
        self.assertEqual(self.made(MANIFEST, caller(), body=b"x").content, b"x")
        self.assertEqual(self.made("/v2/a/b/manifests/blake3:abc", caller(), body=b"x").content, b"x")
        packed = gzip.compress(CONTENT)
        coding = (b"Content-Encoding", b"gzip")
        answer = self.made(BY_DIGEST, caller(), [coding], packed)
        self.assertEqual((answer.content, values(answer, b"Content-Encoding")), (packed, [b"gzip"]))

    def test_range(self) -> None:
        """A single range is cut here from the checked bytes."""
        for value, first, last in (("bytes=0-0", 0, 0), ("bytes=250-999", 250, 255), ("bytes=-2", 254, 255)):
            answer = self.made(BY_DIGEST, ranged(value))
            self.assertEqual((answer.status, answer.content), (206, CONTENT[first : last + 1]))
            self.assertEqual(answer.length, last - first + 1)
            self.assertEqual(values(answer, b"Content-Range"), [f"bytes {first}-{last}/256".encode()])

    def test_ignored(self) -> None:
        """Several ranges, other units and nonsense are ignored, as the specification allows."""
        for value in ("bytes=0-1,5-6", "items=0-1", "bytes=5-1", "bytes=", "bytes=x-y"):
            self.assertEqual(self.made(BY_DIGEST, ranged(value)).content, CONTENT)

    def test_unsatisfiable(self) -> None:
        """A range behind the end is 416 with the size."""
        for value in ("bytes=256-", "bytes=-0"):
            error = self.refused(BY_DIGEST, ranged(value))
            self.assertEqual((error.status, error.headers), (416, (("Content-Range", "bytes */256"),)))

    def test_if_range(self) -> None:
        """A range under a condition is given only for the same strong ETag."""
        for etag, condition, status in (
            (b'"e"', b'"e"', 206),
            (b'"e"', b'"f"', 200),
            (b'W/"e"', b'W/"e"', 200),
            (b'"e"', b"Mon, 23 Nov 2026 12:00:30 GMT", 200),
            (None, b'"e"', 200),
        ):
            headers = [] if etag is None else [(b"ETag", etag)]
            who = caller((b"Range", b"bytes=1-2"), (b"If-Range", condition))
            self.assertEqual(self.made(BY_DIGEST, who, headers).status, status, (etag, condition))

    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(RANGES, st.integers(0, 30))
    def test_reference(self, value: str, size: int) -> None:
        """What a client gets for any range is that slice of the content, or 416."""
        body = CONTENT[:size]
        wanted = expected(value, size)
        if wanted is None:
            self.assertEqual(self.refused(MANIFEST, ranged(value), (), body).status, 416)
            return
        answer = self.made(MANIFEST, ranged(value), (), body)
        self.assertEqual(answer.content, body[wanted[0] : wanted[1] + 1])
