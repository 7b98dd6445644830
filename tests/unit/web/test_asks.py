"""How many requests may ask a registry at once on behalf of clients, beside transfers."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply, TokenReply
from docxy.testing import reply
from tests.unit.web.rig import Connection, Rig, with_limits

BASIC = "Authorization: Basic bWU6cHc="
BEARER = "Authorization: Bearer theirs"
JSON = ((b"Content-Type", b"application/json"),)


class AskTests(SynchronousTestCase):
    """Tokens, pings with credentials and searches share one count."""

    def mirror(self, **limits: int) -> Rig:
        """A mirror whose registry and token server do not answer yet."""
        rig = Rig(with_limits(**limits))
        self.token: Deferred[TokenReply] = Deferred()
        rig.tokens["docker.io"].answers.append(self.token)
        self.ping: Deferred[Reply] = Deferred()
        rig.hub.will_answer(self.ping)
        return rig

    def refused(self, connection: Connection, target: str, *headers: str) -> int:
        """The status of a refusal, which tells when to come again."""
        came = connection.get(target, *headers)
        self.assertEqual(came.headers["Retry-After"], "5")
        self.assertIn("requests to registries", came.json["errors"][0]["message"])
        return came.status

    def test_per_client(self) -> None:
        """One client's surplus is 429, whatever it asks; pings without credentials need no place."""
        rig = self.mirror(asks_per_client=2)
        first, second = rig.connect(), rig.connect()
        first.ask("/auth/token", BASIC)
        second.ask("/v2/", BEARER)
        third = rig.connect()
        self.assertEqual(self.refused(third, "/auth/token"), 429)
        self.assertEqual(self.refused(third, "/auth/token", BASIC), 429)
        self.assertEqual(self.refused(third, "/v2/", BEARER), 429)
        self.assertEqual(self.refused(third, "/v1/search?q=a"), 429)
        self.assertEqual(third.get("/v2/").status, 401)
        self.assertEqual(third.get("/v1/_ping").status, 200)
        self.token.callback(TokenReply(200, JSON, b"{}"))
        self.assertEqual(first.answer().status, 200)
        rig.tokens["docker.io"].answers.append(TokenReply(200, JSON, b"{}"))
        self.assertEqual(third.get("/auth/token").status, 200)
        self.ping.callback(reply(200, b"{}"))
        self.assertEqual(second.answer().status, 200)
        self.assertEqual(rig.asks.active, 0)

    def test_total(self) -> None:
        """The surplus of all is 503."""
        rig = self.mirror(asks=1)
        rig.connect("203.0.113.1").ask("/auth/token")
        self.assertEqual(self.refused(rig.connect("203.0.113.2"), "/auth/token"), 503)

    def test_given_back(self) -> None:
        """A client that leaves, and a registry that fails, give their places back."""
        rig = self.mirror()
        leaving, failing = rig.connect(), rig.connect()
        leaving.ask("/auth/token")
        failing.ask("/v2/", BEARER)
        self.assertEqual(rig.asks.active, 2)
        leaving.leave()
        self.assertEqual(rig.asks.active, 1)
        self.ping.callback(reply(503, b"{}"))
        self.assertEqual(failing.answer().status, 503)
        self.assertEqual(rig.asks.active, 0)

    def test_search(self) -> None:
        """A search holds a place until it is answered."""
        rig = self.mirror()
        connection = rig.connect()
        connection.ask("/v1/search?q=a")
        self.assertEqual(rig.asks.active, 1)
        self.ping.callback(reply(200, b"{}"))
        self.assertEqual((connection.answer().status, rig.asks.active), (200, 0))

    def test_apart_from_transfers(self) -> None:
        """Who has all its transfers still gets tokens, and the other way round."""
        rig = self.mirror(asks_per_client=1, relays_per_client=1)
        rig.connect().ask("/auth/token")
        rig.connect().ask("/v2/library/alpine/manifests/latest")
        self.assertEqual((rig.asks.active, rig.relays.active), (1, 1))
