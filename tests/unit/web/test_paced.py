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
        """However long it is paused, neither the client nor the upstream counts as stalled meanwhile."""
        self.start(client=Allotment(rate=100))
        connection = self.pull()
        self.rig.clock.pump([1.0] * 950)
        self.assertFalse(connection.closed)
        self.assertApproximates(self.has(connection), 95_000, 2_000)
        self.assertEqual(self.bodies[0].sent, 100_000)
        self.assertEqual(len(self.rig.hub.asked), 1)

    def test_one_delivery(self) -> None:
        """Content that comes at one time goes out in pieces, and its end behind the last of them."""
        self.start(client=Allotment(rate=RATE))
        self.rig.hub.will_answer(reply(200, MemoryBody(CONTENT, piece=len(CONTENT)), length=len(CONTENT)))
        connection = self.rig.connect()
        connection.ask(BLOB)
        for second in range(1, 5):
            self.assertApproximates(self.has(connection), second * RATE, 10_000)
            self.rig.clock.pump([0.01] * 100)
        self.assertEqual((connection.answer().body, self.rig.relays.active), (CONTENT, 0))

    def test_parts(self) -> None:
        """Small parts, one after another, are no faster than a whole; the head of each comes at once."""
        self.start(client=Allotment(rate=RATE))
        part, got, seconds = CONTENT[:30_000], 0, 0
        connection = self.rig.connect()
        while seconds < 200:
            answer = reply(206, part, [(b"Content-Range", b"bytes 0-29999/500000")], length=len(part))
            self.rig.hub.will_answer(answer)
            before = len(connection.line.taken)
            connection.ask(BLOB, "Range: bytes=0-29999")
            self.assertIn(b"206", connection.line.taken[before:])
            while not connection.line.taken.endswith(b"\r\n\r\n" + part) and seconds < 200:
                self.rig.clock.advance(0.1)
                seconds += 1
            got += len(part)
        self.assertApproximates(got, 21 * RATE, RATE)

    def test_leaves_before_it_begins(self) -> None:
        """A client that leaves while its transfer may not begin yet has upstream's body let go."""
        self.start(client=Allotment(rate=RATE))
        self.rig.hub.will_answer(reply(200, CONTENT[: 2 * RATE]))
        other = self.rig.connect()
        other.get(MANIFEST)
        other.leave()
        connection = self.pull()
        self.assertEqual(self.bodies[0].fate, "untaken")
        self.assertEqual(self.waiting(), ["rate"])
        connection.leave()
        self.rig.clock.advance(0)
        self.assertEqual((self.bodies[0].fate, self.rig.relays.active), ("dropped", 0))
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def waiting(self) -> list[object]:
        """For whom the transfers wait."""
        return [served.shown()["waits_for"] for served in self.rig.traffic.transfers()]

    def test_waits_for(self) -> None:
        """The state says that it waits for the rate; a client that takes nothing comes first."""
        self.start(client=Allotment(rate=RATE))
        self.pull()
        self.pull(reading=False)
        self.assertEqual(self.waiting(), ["rate", "rate"])
        self.rig = Rig()
        self.pull(reading=False)
        self.assertEqual(self.waiting(), ["client"])

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
        """What comes although it is paused is kept until it is due."""
        self.start(client=Allotment(rate=RATE))
        connection = self.pull()
        relay = self.rig.traffic.transfers()[0]._relay  # type: ignore[attr-defined]  # an Exchange
        before = self.has(connection)
        sent = self.bodies[0].sent
        relay.dataReceived(CONTENT[sent : sent + RATE])
        self.assertEqual(self.has(connection), before)
        self.rig.clock.pump([0.01] * 50)
        self.assertApproximates(self.has(connection), before + RATE // 2, 10_000)
        self.assertEqual(self.bodies[0].sent, sent)
        self.rig.clock.pump([0.01] * 100)
        self.assertGreater(self.bodies[0].sent, sent)

    def test_manifest(self) -> None:
        """A manifest comes at once where nothing is owed, and is paid for before what follows it begins."""
        self.start(client=Allotment(rate=RATE))
        self.rig.hub.will_answer(reply(200, CONTENT[: 2 * RATE]))
        self.assertEqual(len(self.rig.connect().get(MANIFEST).body), 2 * RATE)
        connection = self.pull()
        self.rig.hub.will_answer(reply(200, b"{}"))
        other = self.rig.connect()
        other.ask(MANIFEST)
        for each in (connection, other):
            self.assertIn(b"200 OK", each.line.taken)
            self.assertEqual(self.has(each), 0)
        self.assertEqual(self.waiting(), ["rate", "rate"])
        self.rig.clock.advance(1)
        self.assertGreater(self.has(connection), 0)
        self.assertEqual(other.answer().body, b"{}")

    def test_manifest_is_left(self) -> None:
        """Who leaves in the midst of a manifest has drawn it; who leaves before it is due has not."""
        self.start(client=Allotment(rate=RATE))
        for _ in range(2):
            self.rig.hub.will_answer(reply(200, CONTENT[: 2 * RATE]))
            slow = self.rig.connect()
            slow.line.reading = False
            slow.ask(MANIFEST)
            slow.leave()
            self.rig.clock.advance(0)
            pace = self.rig.usage.pace("203.0.113.7", "")
            assert pace is not None
            self.assertEqual(pace.wait(self.rig.clock.seconds()), 1)
        self.assertEqual((self.rig.relays.active, self.rig.clock.getDelayedCalls()), (0, []))

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
