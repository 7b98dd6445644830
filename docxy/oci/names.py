"""
Repositories, tags and digests: parsed once, valid ever after.

Owns their grammar (distribution specification, "Pulling manifests";
image-spec, "Digests").  Knows nothing of upstreams or of the short names that
an upstream may complete.

Every pattern is matched against the whole of a text whose length is already
bounded, and its alternatives start with different characters, so that no
input makes it slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from docxy.oci.errors import DIGEST_INVALID, NAME_INVALID, TAG_INVALID

MAX_NAME = 255

# Room for every digest in use (sha512 takes 135) and far below any file name's limit.
_MAX_DIGEST = 255

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"

_NAME = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX = re.compile(r"[a-f0-9]+")
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Repository:
    """
    A repository's name, as `library/alpine`.

    Raises ``NAME_INVALID`` for text that is no name or is over 255 characters.
    """

    name: str

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME or not _NAME.fullmatch(self.name):
            raise NAME_INVALID.error()

    @classmethod
    def parse(cls, text: str) -> Repository:
        """
        The repository that ``text`` names, or ``NAME_INVALID``.
        """
        return cls(text)

    @property
    def first(self) -> str:
        """
        The first path component.
        """
        return self.name.partition("/")[0]

    @property
    def rest(self) -> str | None:
        """
        The name after its first component; None where there is only one.
        """
        return self.name.partition("/")[2] or None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Tag:
    """
    A tag's name, as `latest`.

    Raises ``TAG_INVALID`` for text that is no tag or is over 128 characters.
    """

    name: str

    def __post_init__(self) -> None:
        if len(self.name) > 128 or not _TAG.fullmatch(self.name):
            raise TAG_INVALID.error()

    @classmethod
    def parse(cls, text: str) -> Tag:
        """
        The tag that ``text`` names, or ``TAG_INVALID``.
        """
        return cls(text)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Digest:
    """
    A content's address, as `sha256:` and 64 lower-case hexadecimal digits.

    Algorithms that cannot be verified here are accepted by the grammar alone.
    Raises ``DIGEST_INVALID``.
    """

    algorithm: str
    encoded: str

    def __post_init__(self) -> None:
        text = str(self)
        if len(text) > _MAX_DIGEST or not _DIGEST.fullmatch(text):
            raise DIGEST_INVALID.error()
        if self.verifiable and not self._is_hex():
            digits = _HEX_LENGTHS[self.algorithm]
            raise DIGEST_INVALID.error(f"a {self.algorithm} digest has {digits} lower-case hex digits")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """
        The digest that ``text`` spells, or ``DIGEST_INVALID``.
        """
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    @property
    def verifiable(self) -> bool:
        """
        Whether content can be checked against this digest.
        """
        return self.algorithm in _HEX_LENGTHS

    def _is_hex(self) -> bool:
        right_length = len(self.encoded) == _HEX_LENGTHS[self.algorithm]
        return right_length and _HEX.fullmatch(self.encoded) is not None

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


Reference: TypeAlias = Tag | Digest


def parse_reference(text: str) -> Reference:
    """
    The digest or the tag that ``text`` spells: only digests have a colon.

    Raises ``DIGEST_INVALID`` or ``TAG_INVALID``.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)
