"""
Tests of `docxy.upstream.ledger`: which upstream gave out which token.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.upstream.ledger import MAX_ENTRIES, TokenLedger


class TokenLedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = TokenLedger()

    def test_known(self) -> None:
        """A token is found by who gave it, and for which credential of ours."""
        self.ledger.enter("ours", "a.example", "anonymous")
        self.ledger.enter("theirs", "b.example", None)
        found = [(self.ledger.upstream_of(t), self.ledger.credential_of(t)) for t in ("ours", "theirs", "?")]
        self.assertEqual(found, [("a.example", "anonymous"), ("b.example", None), (None, None)])

    def test_bounded(self) -> None:
        """It keeps the last tokens only; one entered again is young again."""
        for number in range(MAX_ENTRIES):
            self.ledger.enter(f"t{number}", "a.example", None)
        self.ledger.enter("t0", "a.example", None)
        self.ledger.enter("one more", "a.example", None)
        known = [self.ledger.upstream_of(token) is not None for token in ("t0", "t1", "t2", "one more")]
        self.assertEqual(known, [True, False, True, True])

    def test_no_secret(self) -> None:
        """Its memory holds no token, not even one of odd characters."""
        self.ledger.enter("s3cret\udc80", "a.example", None)
        self.assertEqual(self.ledger.upstream_of("s3cret\udc80"), "a.example")
        self.assertNotIn("s3cret", repr(vars(self.ledger)))
