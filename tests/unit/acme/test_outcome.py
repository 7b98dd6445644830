"""Tests for `docxy.acme.outcome`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.outcome import Issued, Refused, Unproved


class OutcomeTests(SynchronousTestCase):
    def test_key_is_not_shown(self) -> None:
        """A certificate's key is in no text of it."""
        self.assertNotIn("s3cret", repr(Issued(b"chain", b"s3cret")))

    def test_refusals(self) -> None:
        """A refusal is its reason, perhaps with a wait."""
        self.assertEqual((str(Refused("no")), Refused("no").retry_after), ("no", None))
        self.assertEqual(Unproved("no", 7.0).retry_after, 7.0)
