"""Transfers that go no faster than they may."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.forms import network
from docxy.settings.values import AccessSettings, Allotment, KeySettings
from docxy.testing import MemoryBody, reply
from tests.unit.metrics_rig import lines
from tests.unit.web.rig import Connection, Logged, Rig, request, settings

RATE = 100_000
CONTENT = b"0123456789" * 50_000  # five seconds of that
BLOB = f"/v2/library/alpine/blobs/sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MANIFEST = "/v2/library/alpine/manifests/latest"
ALICE = KeySettings("alice", "alices-path")


class PacedCase(SynchronousTestCase):
    """A mirror with bounds."""

    def start(self, **access: Any) -> None:
        """Build it."""
        self.logged = Logged(self)
        self.rig = Rig(replace(settings(), access=AccessSettings(**access)))

    def pull(self, client: str = "203.0.113.7", path: str = BLOB, reading: bool = True) -> Connection:
        """A client that has begun to pull a blob."""
        body = MemoryBody(CONTENT, piece=10_000)
        self.bodies = [*getattr(self, "bodies", []), body]
        self.rig.hub.will_answer(reply(200, body, length=len(CONTENT)))
        connection = self.rig.connect(client)
        connection.line.reading = reading
        connection.send(request("GET", path))
        return connection

    def has(self, connection: Connection) -> int:
        """How many bytes of the body have come."""
        return len(connection.line.taken.partition(b"\r\n\r\n")[2])


class PacedTests(PacedCase):
    """The pace of transfers."""

    def test_client(self) -> None:
        """The header and a second's worth come at once, the rest as it is due, to a verified end."""
        self.start(client=Allotment(rate=RATE))
        connection = self.pull()
        for second in range(1, 5):
            self.assertApproximates(self.has(connection), second * RATE, 20_000)
            self.assertTrue(self.bodies[0].paused)
            self.rig.clock.pump([0.01] * 100)
        self.rig.clock.pump([0.01] * 20)
        came = connection.answer()
        self.assertEqual((came.status, came.body, came.whole), (200, CONTENT, True))

    def test_shared(self) -> None:
        """Two transfers of one client share its rate, and another client has its own."""
        self.start(client=Allotment(rate=RATE))
        one, two, other = self.pull(), self.pull(), self.pull("203.0.113.8")
        self.rig.clock.pump([0.01] * 200)
        self.assertApproximates(self.has(one) + self.has(two), 3 * RATE, 40_000)
        self.assertGreater(min(self.has(one), self.has(two)), RATE // 2)
        self.assertApproximates(self.has(other), 3 * RATE, 20_000)

    def test_everybody(self) -> None:
        """All clients share the mirror's rate."""
        self.start(everybody=Allotment(rate=RATE))
        connections = [self.pull(f"203.0.113.{one}") for one in range(3)]
        self.rig.clock.pump([0.01] * 300)
        self.assertApproximates(sum(map(self.has, connections)), 4 * RATE, 50_000)

    def test_no_stall(self) -> None:
        """However long a wait, neither the client nor the upstream counts as stalled meanwhile."""
        self.start(client=Allotment(rate=10))
        connection = self.pull()
        self.rig.clock.pump([1.0] * 900)
        self.assertFalse(connection.closed)
        self.assertEqual(self.bodies[0].sent, 10_000)
        self.rig.clock.pump([1.0] * 100)
        self.assertEqual(self.bodies[0].sent, 20_000)
        self.assertEqual(len(self.rig.hub.asked), 1)

    def test_waits_for(self) -> None:
        """The state says that it waits for the rate; a client that takes nothing comes first."""
        self.start(client=Allotment(rate=RATE))
        self.pull()
        self.pull(reading=False)
        waiting = [served.shown()["waits_for"] for served in self.rig.traffic.transfers()]
        self.assertEqual(waiting, ["rate", "rate"])
        free = Rig()
        self.rig = free
        self.pull(reading=False)
        self.assertEqual([served.shown()["waits_for"] for served in free.traffic.transfers()], ["client"])

    def test_client_pauses(self) -> None:
        """A client that reads on does not end the wait, and nothing piles up for it."""
        self.start(client=Allotment(rate=RATE))
        connection = self.pull(reading=False)
        self.assertLess(self.bodies[0].sent, RATE)
        connection.line.take()
        sent = self.bodies[0].sent
        self.assertGreater(sent, RATE)
        connection.line.take()
        self.assertEqual(self.bodies[0].sent, sent)
        self.rig.clock.pump([0.01] * 200)
        self.assertGreater(self.bodies[0].sent, sent)
        self.assertLess(connection.line.peak, 200_000)

    def test_client_leaves(self) -> None:
        """A client that leaves while its transfer waits leaves nothing behind."""
        self.start(client=Allotment(rate=RATE))
        connection = self.pull()
        connection.leave()
        self.rig.clock.advance(0)
        self.assertEqual(self.rig.relays.active, 0)
        self.rig.clock.pump([1.0] * 10)
        self.assertLess(self.bodies[0].sent, 2 * RATE)

    def test_late_data(self) -> None:
        """What comes although it is paused goes out, and is waited for all the longer."""
        self.start(client=Allotment(rate=RATE))
        connection = self.pull()
        relay = self.rig.traffic.transfers()[0]._relay  # type: ignore[attr-defined]  # an Exchange
        before = self.has(connection)
        relay.dataReceived(CONTENT[before : before + RATE])
        self.rig.clock.advance(0.9)
        self.assertEqual(self.has(connection), before + RATE)
        self.rig.clock.pump([0.1] * 5)
        self.assertGreater(self.has(connection), before + RATE)

    def test_manifest(self) -> None:
        """A manifest comes at once, and counts for what follows it."""
        self.start(client=Allotment(rate=RATE))
        self.rig.hub.will_answer(reply(200, CONTENT[: 2 * RATE]))
        self.assertEqual(len(self.rig.connect().get(MANIFEST).body), 2 * RATE)
        connection = self.pull()
        self.assertEqual(self.has(connection), 10_000)
        self.rig.clock.advance(1)
        self.assertEqual(self.has(connection), 10_000)

    def test_unpaced(self) -> None:
        """Without a rate a transfer is none of these."""
        self.start(client=Allotment(requests=100))
        connection = self.pull()
        self.assertEqual(connection.answer().body, CONTENT)


class BoundsTests(PacedCase):
    """Requests, budgets and keys."""

    def test_requests(self) -> None:
        """The third request within the minute gets 429 with the wait; another client and the page do not."""
        self.start(client=Allotment(requests=2))
        connection = self.rig.connect()
        for target in ("/v2/", "/nowhere"):
            self.assertNotEqual(connection.get(target).status, 429)
        came = connection.get("/v2/")
        self.assertEqual(
            (came.status, came.code, came.headers["Retry-After"]), (429, "TOOMANYREQUESTS", "30")
        )
        self.assertEqual(connection.get("/").status, 200)
        self.assertEqual(self.rig.connect("203.0.113.8").get("/v2/").status, 401)
        self.rig.clock.advance(30)
        self.assertEqual(self.rig.connect().get("/v2/").status, 401)
        told = lines(self.rig.metrics, "docxy_refusals")
        self.assertEqual(told, ['docxy_refusals_total{cause="requests"} 1.0'])

    def test_behind_proxy(self) -> None:
        """Behind a trusted proxy each client that it names has its own minute; a forged name is nobody's."""
        behind = settings(trusted_proxies=(network("10.0.0.0/8"),))
        self.rig = Rig(replace(behind, access=AccessSettings(client=Allotment(requests=1))))
        proxy = self.rig.connect("10.0.0.1")
        for client, status in (("198.51.100.7", 401), ("1.1.1.1, 198.51.100.7", 429), ("198.51.100.8", 401)):
            self.assertEqual(proxy.get("/v2/", f"X-Forwarded-For: {client}").status, status)
        self.assertEqual([proxy.get("/v2/").status for _ in range(2)], [401, 429])

    def test_strangers(self) -> None:
        """Those who guess at a secret, from many addresses, take no request from those who know one."""
        self.start(everybody=Allotment(requests=2), client=Allotment(requests=2), keys=(ALICE,))
        for number in range(9):
            connection = self.rig.connect(f"198.51.100.{number}")
            came = [connection.get(path).status for path in ("/guess/v2/", BLOB, "/v2/")]
            self.assertEqual(came, [404, 404, 429])
        connection = self.rig.connect()
        paths = ("/alices-path/v2/", "/v2/alices-path/library/alpine/tags/list", "/alices-path/v2/")
        self.rig.hub.will_answer(reply(404, b"{}"))
        self.assertEqual([connection.get(path).status for path in paths], [401, 404, 429])

    def test_network(self) -> None:
        """The addresses of one IPv6 /64 are one client."""
        self.start(client=Allotment(requests=1))
        self.assertEqual(self.rig.connect("2001:db8::1").get("/v2/").status, 401)
        self.assertEqual(self.rig.connect("2001:db8::2").get("/v2/").status, 429)
        self.assertEqual(self.rig.connect("2001:db8:0:1::1").get("/v2/").status, 401)

    def test_budget(self) -> None:
        """Beyond the budget content is 503, to HEAD too; pings are answered, what runs goes to its end."""
        self.start(everybody=Allotment(budget=len(CONTENT)))
        slow = self.pull(reading=False)
        self.assertEqual(self.pull().answer().body, CONTENT)
        slow.line.reading = True
        slow.line.take()
        self.rig.clock.advance(0)
        self.assertEqual(slow.answer().body, CONTENT)
        for target in (MANIFEST, BLOB):
            came = self.rig.connect().get(target)
            self.assertEqual((came.status, came.code), (503, "UNAVAILABLE"))
            self.assertIn("used up its traffic of this month", came.json["errors"][0]["message"])
            self.assertGreater(int(came.headers["Retry-After"]), 86_400)
        connection = self.rig.connect()
        connection.ask(MANIFEST, method="HEAD")
        self.assertEqual(connection.answer("HEAD").status, 503)
        self.assertEqual(self.rig.connect().get("/v2/").status, 401)
        self.assertIn('docxy_refusals_total{cause="budget"} 3.0', lines(self.rig.metrics, "docxy_refusals"))

    def test_keys(self) -> None:
        """Each key opens the mirror, has its own budget and is counted; without one all is closed."""
        alice = replace(ALICE, allotment=Allotment(budget=1000))
        self.start(keys=(alice, KeySettings("bob", "bobs-path")))
        self.assertEqual(self.pull(path=BLOB.replace("/v2/", "/v2/alices-path/")).answer().body, CONTENT)
        for path in ("/alices-path/v2/", "/v2/alices-path/", "/docker.io/v2/alices-path/"):
            self.assertEqual(self.rig.connect().get(BLOB.replace("/v2/", path)).status, 503)
        self.assertEqual(self.pull(path=BLOB.replace("/v2/", "/bobs-path/v2/")).answer().body, CONTENT)
        self.assertEqual(self.rig.connect().get(BLOB).status, 404)
        told = lines(self.rig.metrics, "docxy_key_requests", "docxy_key_bytes")
        self.assertIn('docxy_key_requests_total{key="alice"} 4.0', told)
        self.assertIn('docxy_key_requests_total{key="bob"} 1.0', told)
        self.assertIn(f'docxy_key_bytes_total{{key="bob"}} {len(CONTENT):.1f}', told)
        self.assertNotIn("-path", repr(self.logged.access))

    def test_realm(self) -> None:
        """The challenge leads each client back to its own key."""
        self.start(keys=(ALICE, KeySettings("bob", "bobs-path")))
        for secret in ("alices-path", "bobs-path"):
            realm = self.rig.connect().get(f"/{secret}/v2/").headers["WWW-Authenticate"]
            self.assertIn(f"https://mirror.example.com/{secret}/auth/token", realm)
            self.assertEqual(self.rig.connect().get(f"/{secret}/health").status, 200)
        self.assertEqual(self.rig.connect().get("/health").status, 404)

    def test_denied(self) -> None:
        """A denied repository is 403, and counted."""
        self.start()
        hub = replace(self.rig.settings.upstreams[0], deny_repositories=("library/alp*",))
        self.rig = Rig(settings(hub))
        came = self.rig.connect().get(MANIFEST)
        self.assertEqual((came.status, came.code), (403, "DENIED"))
        self.assertIn(
            'docxy_refusals_total{cause="repository"} 1.0', lines(self.rig.metrics, "docxy_refusals")
        )
