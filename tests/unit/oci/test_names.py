"""
Tests for `docxy.oci.names`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.oci.names import MAX_NAME, Digest, Repository, Tag, parse_reference

quick = settings(derandomize=True, max_examples=150, deadline=None)

HEX = "0123456789abcdef" * 4

NAMES = [
    "alpine",
    "library/alpine",
    "a",
    "0",
    "a.b",
    "a_b",
    "a__b",
    "a---b",
    "a/b/c/d",
    "manifests",
    "v2/blobs",
]
BAD_NAMES = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    "A",
    "a_",
    "a___b",
    "a..b",
    "-a",
    "a-",
    "..",
    "a/../b",
    "a%2fb",
    "a\\b",
    "a;b",
    "a:5000/b",
    "a b",
    "a\n",
    "\uff41",
    "é",
    "\u0661",
]
TAGS = ["latest", "_", "1.2-3_x", "A" * 128, "v2"]
BAD_TAGS = ["", ".a", "-a", "a/b", "a:b", "a b", "a\n", "é", "..%2f..", "A" * 129]
DIGESTS = [f"sha256:{HEX}", f"sha512:{HEX}{HEX}", f"blake3:{HEX}", "a+b.c_d-e:A=_-", "sha384:x"]
BAD_DIGESTS = [
    "",
    ":",
    "sha256",
    "sha256:",
    f":{HEX}",
    f"sha256:{HEX[1:]}",
    f"sha256:{HEX}0",
    f"sha256:{HEX.upper()}",
    f"sha512:{HEX}",
    f"SHA256:{HEX}",
    f"sha256:{HEX}\n",
    f"sha256:../{HEX[3:]}",
    f"sha256:sha256:{HEX}",
    "a++b:x",
    "a:" + "x" * 254,
]
HOSTILE = [
    "a-" * 126 + "!",
    "a" + "-" * 250 + "!",
    "a__" * 80 + "!",
    "a." * 120 + "!",
    "a/" * 120 + "!",
    "-" * 10**6,
]


def code(parse: Callable[[str], object], text: str) -> str | None:
    """The code of the error that parsing raises, None where it raises none."""
    try:
        parse(text)
    except RegistryError as error:
        return error.code
    return None


class RepositoryTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """Names of the specification's grammar are taken, and spelt as they came."""
        for text in NAMES:
            self.assertEqual(str(Repository.parse(text)), text)

    def test_invalid(self) -> None:
        """Anything else is NAME_INVALID."""
        for text in BAD_NAMES + HOSTILE:
            self.assertEqual(code(Repository.parse, text), "NAME_INVALID", text)

    def test_longest(self) -> None:
        """A name has 255 characters at most."""
        self.assertEqual(Repository.parse("a" * MAX_NAME).name, "a" * 255)
        self.assertEqual(code(Repository.parse, "a" * 256), "NAME_INVALID")

    def test_parts(self) -> None:
        """A name is its first component and the rest, if any."""
        repository = Repository.parse("ghcr.io/org/img")
        self.assertEqual((repository.first, repository.rest), ("ghcr.io", "org/img"))
        self.assertEqual(
            (Repository.parse("alpine").first, Repository.parse("alpine").rest), ("alpine", None)
        )

    def test_valid_ever_after(self) -> None:
        """A repository cannot be made invalid, neither by making it nor by changing it."""
        self.assertEqual(code(Repository, "A"), "NAME_INVALID")
        with self.assertRaises(FrozenInstanceError):
            Repository("a").name = "A"  # type: ignore[misc]

    @quick
    @given(st.text(max_size=40) | st.text("aZ0._-/:%", max_size=300))
    def test_any_text(self, text: str) -> None:
        """Any text is a name that is spelt the same, or NAME_INVALID."""
        if code(Repository.parse, text) is None:
            self.assertEqual(str(Repository.parse(text)), text)
        else:
            self.assertEqual(code(Repository.parse, text), "NAME_INVALID")


class TagTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """Tags of the specification's grammar are taken."""
        for text in TAGS:
            self.assertEqual(str(Tag.parse(text)), text)

    def test_invalid(self) -> None:
        """Anything else is TAG_INVALID."""
        for text in [*BAD_TAGS, *HOSTILE]:
            self.assertEqual(code(Tag.parse, text), "TAG_INVALID", text)


class DigestTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """Digests are taken, those of unknown algorithms by the grammar alone."""
        for text in DIGESTS:
            self.assertEqual(str(Digest.parse(text)), text)

    def test_invalid(self) -> None:
        """A known algorithm's digest must have its length in lower-case hex; all have a bounded length."""
        for text in [*BAD_DIGESTS, *HOSTILE]:
            self.assertEqual(code(Digest.parse, text), "DIGEST_INVALID", text)

    def test_parts(self) -> None:
        """A digest is its algorithm and what is encoded."""
        self.assertEqual(Digest.parse(f"sha256:{HEX}"), Digest("sha256", HEX))

    def test_verifiable(self) -> None:
        """Content can be checked against sha256 and sha512."""
        self.assertEqual(
            [Digest.parse(text).verifiable for text in DIGESTS], [True, True, False, False, False]
        )


class ReferenceTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """A colon makes a digest, its absence a tag."""
        self.assertEqual(parse_reference("latest"), Tag("latest"))
        self.assertEqual(parse_reference(f"sha256:{HEX}"), Digest("sha256", HEX))

    @quick
    @given(st.text(max_size=40) | st.text("aZ0._-:=+", max_size=200))
    def test_any_text(self, text: str) -> None:
        """Any text is a reference that is spelt the same, or an error of its kind."""
        error = code(parse_reference, text)
        if error is None:
            self.assertEqual(str(parse_reference(text)), text)
        else:
            self.assertEqual(error, "DIGEST_INVALID" if ":" in text else "TAG_INVALID")
