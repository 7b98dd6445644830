"""
Tests of `docxy.upstream.ledger`: which upstream gave out which token.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.upstream.ledger import MAX_ENTRIES, MAX_GIVERS, TokenLedger


class TokenLedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = TokenLedger()

    def test_known(self) -> None:
        """A token is found by who gave it, and for which credential of ours."""
        self.ledger.enter("ours", "a.example", "anonymous")
        self.ledger.enter("theirs", "b.example", None)
        for token, foreign, credential in (
            ("ours", (False, True), ("anonymous", None)),
            ("theirs", (True, False), (None, None)),
            ("?", (False, False), (None, None)),
        ):
            upstreams = ("a.example", "b.example")
            self.assertEqual(tuple(self.ledger.is_foreign(token, name) for name in upstreams), foreign)
            self.assertEqual(tuple(self.ledger.credential_of(token, name) for name in upstreams), credential)

    def test_several_givers(self) -> None:
        """A token that several upstreams gave belongs to each, as each gave it."""
        self.ledger.enter("same", "a.example", "anonymous")
        self.ledger.enter("same", "b.example", None)
        found = [self.ledger.is_foreign("same", f"{name}.example") for name in "abc"]
        self.assertEqual(found, [False, False, True])
        self.assertEqual(self.ledger.credential_of("same", "a.example"), "anonymous")
        self.assertIsNone(self.ledger.credential_of("same", "b.example"))

    def test_givers_bounded(self) -> None:
        """Of the upstreams that gave one token the last are kept."""
        for number in range(MAX_GIVERS):
            self.ledger.enter("same", str(number), None)
        self.ledger.enter("same", "0", None)
        self.ledger.enter("same", "one more", None)
        found = [self.ledger.is_foreign("same", name) for name in ("0", "1", "2", "one more")]
        self.assertEqual(found, [False, True, False, False])

    def test_bounded(self) -> None:
        """It keeps the last tokens only; one entered again is young again."""
        for number in range(MAX_ENTRIES):
            self.ledger.enter(f"t{number}", "a.example", None)
        self.ledger.enter("t0", "a.example", None)
        self.ledger.enter("one more", "a.example", None)
        known = [self.ledger.is_foreign(token, "b.example") for token in ("t0", "t1", "t2", "one more")]
        self.assertEqual(known, [True, False, True, True])

    def test_no_secret(self) -> None:
        """Its memory holds no token, not even one of odd characters."""
        self.ledger.enter("s3cret\udc80", "a.example", "account")
        self.assertEqual(self.ledger.credential_of("s3cret\udc80", "a.example"), "account")
        self.assertNotIn("s3cret", repr(vars(self.ledger)))
