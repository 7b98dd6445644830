"""Tests for `docxy.acme.challenges`: what is shown, and for how long."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.challenges import HTTP, TLS, Challenges
from docxy.acme.keys import new_key
from docxy.tls.certificates import names_of
from tests.unit.tls.throwaway import NOW


class ChallengesTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing is pending."""
        self.pending = Challenges(lambda: NOW)
        self.key = new_key("ec256")

    def test_http(self) -> None:
        """A token's proof is there while it is published, and no other token's."""
        with self.pending.published(HTTP, "a.example", "token.thumb"):
            self.assertEqual(self.pending.text("token"), "token.thumb")
            self.assertIsNone(self.pending.text("a.example"))
            self.assertIsNone(self.pending.certificate("token", self.key))
        self.assertIsNone(self.pending.text("token"))

    def test_tls(self) -> None:
        """A name's certificate is made once for a key, whatever the case the name comes in."""
        with self.pending.published(TLS, "a.example", "token.thumb"):
            made = self.pending.certificate("a.example", self.key)
            assert made is not None
            self.assertEqual(names_of(made), ("a.example",))
            self.assertEqual(made.public_key(), self.key.public_key())
            self.assertIs(self.pending.certificate("A.Example", self.key), made)
            self.assertIsNot(self.pending.certificate("a.example", new_key("ec256")), made)
            self.assertIsNone(self.pending.certificate("b.example", self.key))
            self.assertIsNone(self.pending.text("token"))
        self.assertIsNone(self.pending.certificate("a.example", self.key))

    def test_address(self) -> None:
        """An address is found by its reverse name."""
        with self.pending.published(TLS, "192.0.2.1", "token.thumb"):
            made = self.pending.certificate("1.2.0.192.in-addr.arpa", self.key)
            assert made is not None
            self.assertEqual(names_of(made), ("192.0.2.1",))

    def test_anew(self) -> None:
        """The next order's proof is another one."""
        made = []
        for token in ("one", "two"):
            with self.pending.published(TLS, "a.example", f"{token}.thumb"):
                made.append(self.pending.certificate("a.example", self.key))
        self.assertNotEqual(made[0], made[1])

    def test_raced(self) -> None:
        """A proof that is made while its order ends is not shown for the next one."""

        def now() -> datetime:
            self.order.close()
            return NOW

        self.pending = Challenges(now)
        self.order = ExitStack()
        self.order.enter_context(self.pending.published(TLS, "a.example", "one.thumb"))
        first = self.pending.certificate("a.example", self.key)
        with self.pending.published(TLS, "a.example", "two.thumb"):
            self.assertNotEqual(self.pending.certificate("a.example", self.key), first)

    def test_failed(self) -> None:
        """Nothing stays when the order fails."""

        def fail() -> None:
            with self.pending.published(HTTP, "a.example", "token.thumb"):
                raise ValueError

        self.assertRaises(ValueError, fail)
        self.assertIsNone(self.pending.text("token"))
