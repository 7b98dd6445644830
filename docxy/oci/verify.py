"""
Whether bytes are what their digest says.

Owns the hashing.  Knows nothing of where bytes come from or go to.
"""

from __future__ import annotations

import hashlib

from docxy.oci.names import Digest


class DigestMismatch(Exception):
    """
    The bytes are not those that the digest names.
    """

    def __init__(self, expected: Digest, actual: Digest) -> None:
        super().__init__(f"content is {actual}, expected {expected}")
        self.expected = expected
        self.actual = actual


class Verifier:
    """
    One content's check: feed all of it, then finish.

    Raises ValueError for a digest that is not verifiable.
    """

    def __init__(self, digest: Digest) -> None:
        if not digest.verifiable:
            raise ValueError(f"{digest.algorithm} cannot be verified")
        self.size = 0
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm)

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes; ``size`` counts them.
        """
        self._hash.update(data)
        self.size += len(data)

    def finish(self) -> None:
        """
        Return when the bytes fed so far are the digest's, else raise `DigestMismatch`.
        """
        actual = self._hash.hexdigest()
        if actual != self._digest.encoded:
            raise DigestMismatch(self._digest, Digest(self._digest.algorithm, actual))
