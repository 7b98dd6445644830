"""Tests for `docxy.acme.client`: new orders, accounts, and how long is waited in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import requests
from acme import errors, messages
from hypothesis import given
from hypothesis import strategies as st
from josepy.jwk import JWKEC
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.client import Client
from docxy.acme.keys import new_key, signing_request
from docxy.acme.outcome import Refused
from tests.unit.acme import ca

NAMES = ("a.example", "192.0.2.1")


class ClientCase(SynchronousTestCase):
    """A client of an authority in memory, which knows an account."""

    def setUp(self) -> None:
        self.ca = ca.Authority()
        net = self.ca.network(JWKEC(key=new_key("ec256")), ca.DIRECTORY, None)
        self.client = Client(Client.get_directory(ca.DIRECTORY, net), net)
        self.request = signing_request(new_key("ec256"), NAMES)

    def order(self, replaces: str | None, profile: str | None = None) -> messages.OrderResource:
        """A new order."""
        return self.client.order(self.request, NAMES, profile, replaces)


class OrderTests(ClientCase):
    """New orders."""

    def sent(self) -> dict[str, Any]:
        """The order that the authority got last."""
        found: dict[str, Any] = self.ca.payloads["/neworder"]
        return found

    def test_words(self) -> None:
        """Names and addresses, and what it replaces, as the RFCs put them; nothing else."""
        self.order("aki.serial")
        identifiers = [{"type": "dns", "value": "a.example"}, {"type": "ip", "value": "192.0.2.1"}]
        self.assertEqual(self.sent(), {"identifiers": identifiers, "replaces": "aki.serial"})
        order = self.order(None, "shortlived")
        self.assertEqual(self.sent(), {"identifiers": identifiers, "profile": "shortlived"})
        self.assertEqual([one.body.identifier.value for one in order.authorizations], list(NAMES))

    def test_not_replaced(self) -> None:
        """Where the authority does not take what is replaced, the order is made without it."""
        for refusal in (
            ca.problem("alreadyReplaced", "long ago", 409),
            ca.problem("malformed", "no such certificate", 404),
            ca.problem("unauthorized", "not yours", 403),
        ):
            self.ca.asked.clear()
            self.ca.refusals["/neworder"] = [refusal]
            self.order("aki.serial")
            self.assertEqual(self.ca.asked.count("/neworder"), 2, refusal)
            self.assertNotIn("replaces", self.sent())

    def test_refused(self) -> None:
        """Other refusals, and those of an order like any other, are told at once."""
        for refusal, replaces, error in (
            (ca.problem("rateLimited", "too many", 429), "aki.serial", messages.Error),
            (ca.problem("malformed", "what?", 400), None, messages.Error),
            (ca.problem("conflict", "what?", 409), None, errors.ConflictError),
        ):
            self.ca.asked.clear()
            self.ca.refusals["/neworder"] = [refusal]
            self.assertRaises(error, self.order, replaces)
            self.assertEqual(self.ca.asked, ["/neworder"])

    def test_too_many(self) -> None:
        """An authority that wants more proofs than there are names is not asked for them."""
        urls = [f"{ca.BASE}/authorization/0"] * 3
        self.ca.refusals["/neworder"] = [(201, {"status": "pending", "authorizations": urls}, {})]
        self.assertRaises(ValueError, self.order, None)
        self.assertEqual(self.ca.asked, ["/neworder"])


class AccountTests(ClientCase):
    """Where our account is."""

    def made(self) -> str:
        """The account's URL."""
        return self.client.made_account(messages.NewRegistration())

    def test_made(self) -> None:
        """A new one, and one that the authority knew."""
        self.assertEqual(self.made(), f"{ca.BASE}/account/1")
        self.ca.refusals["/newaccount"] = [(200, {}, {"Location": f"{ca.BASE}/account/7"})]
        self.assertEqual(self.made(), f"{ca.BASE}/account/7")

    def test_nowhere(self) -> None:
        """What is not a URL of this authority is no account, and is not kept for one."""
        for answer in (
            (201, {"status": "valid"}, {}),
            (201, {"status": "valid"}, {"Location": "https://elsewhere.example/account/1"}),
            (409, {}, {}),
        ):
            self.ca.refusals["/newaccount"] = [answer]
            self.assertRaises(Refused, self.made)


class PauseTests(SynchronousTestCase):
    """Retry-After of an order that is being decided."""

    def pause(self, told: str | None) -> timedelta:
        """How long, by this header."""
        answer = requests.Response()
        answer.headers["Date"] = "Mon, 23 Nov 2026 20:00:00 GMT"
        if told is not None:
            answer.headers["Retry-After"] = told
        before = datetime.now()  # noqa: DTZ005 - as the library has it
        return Client.retry_after(answer, 1) - before

    def test_heeded(self) -> None:
        """Seconds and dates are heeded, within bounds, in whatever time zone we are."""
        for told, seconds in (
            (None, 1),
            ("0", 1),
            ("-5", 1),
            ("7", 7),
            ("Mon, 23 Nov 2026 20:00:09 GMT", 9),
            ("9" * 30, 1),
            ("86400", 30),
        ):
            self.assertEqual(round(self.pause(told).total_seconds()), seconds, told)

    @given(st.text(st.characters(codec="latin-1"), max_size=40))
    def test_bounds(self, told: str) -> None:
        """Whatever an authority says, it is asked neither without a pause nor never."""
        self.assertTrue(1 <= round(self.pause(told).total_seconds()) <= 30)
