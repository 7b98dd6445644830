"""
Tests for `docxy.oci.verify`.
"""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.names import Digest
from docxy.oci.verify import DigestMismatch, Verifier

quick = settings(derandomize=True, max_examples=50, deadline=None)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of some content."""
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


class VerifierTests(SynchronousTestCase):
    @quick
    @given(st.lists(st.binary(max_size=20), max_size=6), st.sampled_from(["sha256", "sha512"]))
    def test_right_content(self, chunks: list[bytes], algorithm: str) -> None:
        """However the right bytes are cut, they are taken and counted."""
        content = b"".join(chunks)
        verifier = Verifier(digest_of(content, algorithm))
        for chunk in chunks:
            verifier.feed(chunk)
        verifier.finish()
        self.assertEqual(verifier.size, len(content))

    def test_wrong_content(self) -> None:
        """Other bytes are a mismatch that names both digests."""
        verifier = Verifier(digest_of(b"right"))
        verifier.feed(b"wrong")
        error = self.assertRaises(DigestMismatch, verifier.finish)
        self.assertEqual((error.expected, error.actual), (digest_of(b"right"), digest_of(b"wrong")))
        self.assertEqual(str(error), f"content is {digest_of(b'wrong')}, expected {digest_of(b'right')}")

    def test_short_content(self) -> None:
        """Too few bytes are a mismatch, and may still become the right ones."""
        verifier = Verifier(digest_of(b"abc"))
        verifier.feed(b"ab")
        self.assertRaises(DigestMismatch, verifier.finish)
        verifier.feed(b"c")
        verifier.finish()

    def test_unverifiable(self) -> None:
        """A digest that cannot be computed has no verifier."""
        self.assertRaises(ValueError, Verifier, Digest("blake3", "00"))
