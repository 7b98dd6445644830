"""Tests for `docxy.policy.secret`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.secret import HIDDEN, SecretPath
from docxy.settings.reader import read

SECRET = "k7x.9qq2m"
PATH = SecretPath(SECRET)
NONE = SecretPath()

quick = settings(derandomize=True, max_examples=100, deadline=None)


class SecretPathTests(SynchronousTestCase):
    """What is the secret, and what tells it."""

    def test_equals(self) -> None:
        """Only the segment itself opens anything."""
        self.assertTrue(PATH.equals(SECRET))
        for other in ("", SECRET.upper(), SECRET + "x", "x" + SECRET, SECRET[1:], "k7xa9qq2m", "\u0131"):
            self.assertFalse(PATH.equals(other))
            self.assertFalse(NONE.equals(other))

    def test_is_in(self) -> None:
        """It is found in any place, in any case, and nothing else is."""
        for text in (SECRET, SECRET.upper(), f"a/{SECRET}:5000/b", f"x{SECRET}x"):
            self.assertTrue(PATH.is_in("", text))
            self.assertFalse(NONE.is_in(text))
        for text in ("", "k7xa9qq2m", "None", SECRET[:-1]):
            self.assertFalse(PATH.is_in(text))
        self.assertFalse(PATH.is_in())

    def test_hidden(self) -> None:
        """What is shown has something else in its place."""
        self.assertEqual(PATH.hidden(f"a/{SECRET.upper()}/{SECRET}b"), f"a/{HIDDEN}/{HIDDEN}b")
        self.assertEqual(PATH.hidden("a/b"), "a/b")
        self.assertEqual(NONE.hidden(SECRET), SECRET)

    def test_front(self) -> None:
        """In front of a path it is a segment; none is nothing."""
        self.assertEqual((PATH.is_set, PATH.fronts), (True, (f"/{SECRET}",)))
        self.assertEqual((NONE.is_set, NONE.fronts), (False, ("",)))

    def test_shown_in(self) -> None:
        """It counts as the first segment, or after the first v2, whole; whatever follows."""
        path = SecretPath("secret")
        for raw, shown in (
            (b"/secret/v2/", "secret"),
            (b"/secret", "secret"),
            (b"/v2/secret/A//%", "secret"),
            (b"/v2/secret", "secret"),
            (b"/docker.io/v2/secret/a", "secret"),
            (b"/a/b/v2/secret", "secret"),
            (b"/a/b/c/v2/secret", ""),
            (b"/a/secret/v2/", ""),
            (b"/v2/v2/secret", ""),
            (b"/v1/v2/secret", ""),
            (b"/auth/v2/secret", ""),
            (b"/v2/a/secret", ""),
            (b"/v1/secret", ""),
            (b"/secretx/v2/", ""),
            (b"/secre\xe9", ""),
            (b"//secret", ""),
            (b"secret/v2", ""),
            (b"/v2/", ""),
            (b"/", ""),
            (b"", ""),
            (b"*", ""),
        ):
            self.assertEqual(path.shown_in(raw), shown, raw)
            self.assertEqual(NONE.shown_in(raw), "")

    def test_keys(self) -> None:
        """Each key's path opens, and tells whose it is; the plain secret is nobody's."""
        several = SecretPath("plainsecret", keys={"plainsecret-2": "alice", "bobssecret": "bob"})
        self.assertEqual(several.fronts, ("/plainsecret", "/plainsecret-2", "/bobssecret"))
        for raw, key in (
            (b"/plainsecret/v2/", ""),
            (b"/plainsecret-2/v2/", "alice"),
            (b"/v2/bobssecret/a/tags/list", "bob"),
            (b"/v2/alice/a/tags/list", ""),
        ):
            self.assertEqual(several.key_in(raw), key)
        self.assertTrue(several.equals("bobssecret"))
        self.assertFalse(several.equals("bob"))
        self.assertEqual(several.hidden("a/plainsecret-2/BobsSecret"), f"a/{HIDDEN}/{HIDDEN}")

    def test_of(self) -> None:
        """The settings have the plain one and the keys."""
        given = read(
            {
                "server": {"secret_path": "plainsecret"},
                "access": {"key": [{"name": "bob", "path": "bobssecret"}]},
            }
        )
        found = SecretPath.of(given)
        self.assertEqual(found.fronts, ("/plainsecret", "/bobssecret"))
        self.assertEqual(found.key_in(b"/bobssecret/"), "bob")
        self.assertFalse(SecretPath.of(read({})).is_set)

    def test_repr(self) -> None:
        """Its repr does not tell it."""
        self.assertNotIn(SECRET, repr(PATH))

    @quick
    @given(st.text(max_size=20), st.text(max_size=20))
    def test_nothing_left(self, before: str, after: str) -> None:
        """Whatever stands around it, nothing of it is shown."""
        text = before + SECRET + after
        self.assertTrue(PATH.is_in(text))
        self.assertFalse(PATH.is_in(PATH.hidden(text)))
