"""Tests for `docxy.policy.secret`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.secret import HIDDEN, SecretPath

SECRET = "k7x.9qq2m"
PATH = SecretPath(SECRET)
NONE = SecretPath(None)

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
        self.assertEqual((PATH.is_set, PATH.front), (True, f"/{SECRET}"))
        self.assertEqual((NONE.is_set, NONE.front), (False, ""))

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
