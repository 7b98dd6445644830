"""
Tests of the tries that `docxy.upstream.fetch` makes: other addresses, other hosts, waits, and when it stops.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.server import Request

from docxy.interfaces import Reply, UpstreamBroken, UpstreamUnreachable
from docxy.upstream.attempt import host_of
from docxy.upstream.resolver import AddressesRefused
from tests.unit.upstream.rig import (
    CDN,
    HUB,
    Answering,
    Answers,
    Seen,
    UpstreamTestCase,
    lines,
    refused_connection,
    reply,
    silent,
)
from tests.unit.upstream.servers import RawServer

NEAR = "https://near.example"
BLOB = b"/v2/a/blobs/sha256:00"
SECRETS = lines(authorization="Bearer t0ken", range="bytes=5-")
FIRST, SECOND, THIRD = "2001:db8::1", "192.0.2.1", "192.0.2.2"


def in_turn(*answers: Answering) -> Answering:
    """A server that answers in these ways one after another, in the last one ever after."""
    left = list(answers)

    def answering(request: Request, seen: Seen) -> bytes | int:
        return (left.pop(0) if len(left) > 1 else left[0])(request, seen)

    return answering


def to_cdn(request: Request, seen: Seen) -> bytes | int:
    """A registry whose blobs are elsewhere."""
    return reply(307, location=f"{CDN}/x?sig=s3cret")(request, seen)


class TriesTestCase(UpstreamTestCase):
    def fetch(self, method: bytes = b"GET", **changes: Any) -> Deferred[Reply]:
        """Ask for a blob with credentials."""
        return self.side(**changes).upstream.fetch(method, BLOB, SECRETS)

    def again(self, *avoid: str, **changes: Any) -> Deferred[Reply]:
        """Ask for the rest of a blob."""
        return self.side(**changes).upstream.again(BLOB, SECRETS, frozenset(avoid))

    def soon(self, waiting: Deferred[Reply], seconds: float = 0.05) -> Reply:
        """The reply after one short wait."""
        self.net.advance()
        self.assertNoResult(waiting)
        self.net.advance(seconds)
        return self.done(waiting)


class FetchTriesTests(TriesTestCase):
    """Before the headers every failure is tried again."""

    def test_other_address(self) -> None:
        """A new connection that breaks is followed by one to another address, of the other family first."""
        self.net.place(HUB, FIRST, "2001:db8::2", SECOND)
        for method in (b"GET", b"HEAD"):
            for said in (b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 abc\r\n\r\n"):
                self.agent = self.net.agent()
                raw = self.net.raw(HUB, FIRST)
                self.net.serve(HUB, reply(200, b"ok"), SECOND)
                waiting = self.fetch(method)
                raw.connections[0].say(said)
                raw.connections[0].end()
                found = self.soon(waiting)
                self.assertEqual((found.status, found.address), (200, SECOND))
        self.assertIn("the connection ended before an answer; tried again in 0.1 s", self.said())

    def test_trouble(self) -> None:
        """The last try that failed is kept, without what a URL has in secret; what is an answer is none."""
        self.net.serve(HUB, in_turn(to_cdn, reply(404)))
        self.net.serve(CDN, reply(503))
        side = self.side()
        self.assertEqual((side.upstream.trouble, side.upstream.avoided()), (None, []))
        self.soon(side.upstream.fetch(b"GET", BLOB, SECRETS), 2)
        trouble = side.upstream.trouble
        assert trouble is not None
        self.assertEqual(trouble.text, f"{CDN}/x: status 503")
        self.assertIn(host_of(CDN), side.upstream.avoided())
        self.net.unreachable[HUB] = refused_connection()
        waiting = side.upstream.again(BLOB, SECRETS, frozenset({host_of(CDN)}))
        self.net.advance(2)
        self.failureResultOf(waiting, UpstreamUnreachable)
        self.assertIn("cannot connect", side.upstream.trouble.text if side.upstream.trouble else "")

    def test_address_is_remembered(self) -> None:
        """For ten minutes the address that failed is not the first one any more."""
        self.net.place(HUB, SECOND, THIRD)
        raw = self.net.raw(HUB, SECOND)
        self.net.serve(HUB, reply(200), THIRD)
        waiting = self.fetch()
        raw.connections[0].end()
        self.assertEqual(self.soon(waiting).address, THIRD)
        self.assertEqual(self.done(self.fetch()).address, THIRD)
        self.net.advance(600)
        self.net.serve(HUB, reply(204), SECOND)
        self.assertEqual(self.done(self.fetch()).address, SECOND)

    def test_silent_address(self) -> None:
        """An address that says nothing for eight seconds is followed by another one."""
        self.net.place(HUB, SECOND, THIRD)
        self.net.serve(HUB, silent, SECOND)
        self.net.serve(HUB, reply(200), THIRD)
        waiting = self.fetch()
        self.net.advance(8)
        self.net.advance(0.1)
        self.assertEqual(self.done(waiting).address, THIRD)
        self.assert_idle()

    def test_silent_cdn_address(self) -> None:
        """So is one of a CDN, for which the registry gives a fresh signature."""
        self.net.place(CDN, SECOND, THIRD)
        self.net.serve(HUB, to_cdn)
        self.net.serve(CDN, silent, SECOND)
        self.net.serve(CDN, reply(206, b"ok"), THIRD)
        waiting = self.fetch()
        self.net.advance(8)
        self.net.advance(0.1)
        found = self.done(waiting)
        self.assertEqual((found.address, found.host, found.redirected), (THIRD, "cdn.example", True))
        self.assertNotIn("s3cret", self.said())
        self.assertEqual(
            {seen.header("Authorization") for seen in self.net.seen if seen.url.startswith(CDN)}, {None}
        )

    def test_other_host(self) -> None:
        """A CDN host that failed is avoided where the registry knows another one."""
        dead = "https://dead.store.example"
        self.net.serve(
            HUB, in_turn(reply(307, location=f"{dead}/x"), reply(307, location=f"{dead}/x"), to_cdn)
        )
        self.net.unreachable[dead] = refused_connection()
        self.net.serve(CDN, reply(200))
        self.assertEqual(self.soon(self.fetch()).host, "cdn.example")
        self.assertEqual(self.net.dialled.count(dead), 1)

    def test_only_host(self) -> None:
        """A host that failed is asked again where there is no other."""
        raw = self.net.raw(CDN)
        self.net.serve(HUB, to_cdn)
        waiting = self.fetch()
        self.net.flush()
        raw.connections[0].end()
        self.net.flush()
        self.net.serve(CDN, reply(200))
        self.assertEqual(self.soon(waiting).host, "cdn.example")
        self.assertEqual([host_of(seen.url) for seen in self.net.seen], ["hub.example"] * 4 + ["cdn.example"])

    def test_new_connections(self) -> None:
        """Only the first try takes a connection that was kept."""
        self.net.serve(HUB, reply(200))
        for _ in range(2):
            self.done(self.fetch())
        self.net.serve(HUB, in_turn(reply(503), reply(200)))
        self.assertEqual(self.soon(self.fetch()).status, 200)
        self.assertEqual(len(self.net.dialled), 2)
        self.assertEqual([seen.header("Connection") for seen in self.net.seen], [None] * 3 + ["close"])

    def test_server_errors(self) -> None:
        """A server error is asked for again, twice; the last answer is relayed as it is."""
        for status in (500, 502, 503, 504):
            self.agent = self.net.agent()
            self.net.seen.clear()
            self.net.serve(HUB, reply(status, b"sorry"))
            waiting = self.fetch()
            self.net.advance(0.05)
            self.assertEqual(len(self.net.seen), 2)
            self.net.advance(0.1)
            found = self.done(waiting)
            self.assertEqual((found.status, self.text(found), len(self.net.seen)), (status, b"sorry", 3))
        self.assertIn("status 503; tried again in", self.said())
        self.assert_idle()

    def test_answers(self) -> None:
        """What is below 500 is an answer: it is not asked for again, a quota's end least of all."""
        for status in (200, 206, 304, 401, 404, 416, 429):
            self.net.seen.clear()
            self.net.serve(HUB, reply(status, retry_after="1"))
            self.assertEqual(self.done(self.fetch()).status, status)
            self.assertEqual(len(self.net.seen), 1)

    def test_retry_after(self) -> None:
        """A server that asks for a pause gets it, where there is time for it."""
        self.net.serve(HUB, in_turn(reply(503, retry_after="7"), reply(200)))
        waiting = self.fetch()
        self.net.advance(6.9)
        self.assertEqual(len(self.net.seen), 1)
        self.net.advance(0.1)
        self.assertEqual(self.done(waiting).status, 200)

    def test_too_long_a_pause(self) -> None:
        """A pause that does not fit is not made; nor is one that another url did not ask for."""
        self.net.serve(HUB, in_turn(reply(503, retry_after="60"), reply(200)))
        self.assertEqual(self.soon(self.fetch()).status, 200)
        self.net.serve(NEAR, reply(503, retry_after="7"))
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).status, 200)

    def test_refused(self) -> None:
        """A registry that refuses connections is dialled for three seconds, and for one more try."""
        for urls in ((HUB,), (NEAR, HUB)):
            self.net.dialled.clear()
            self.net.unreachable = dict.fromkeys(urls, refused_connection())
            waiting = self.fetch(urls=urls)
            for _ in range(31):
                self.net.advance(0.1)
            self.failed(waiting, UpstreamUnreachable)
            self.assertIn(len(self.net.dialled), range(4, 9))
            self.assert_idle()

    def test_restart(self) -> None:
        """A registry that refuses connections for two seconds, as one does that restarts, is waited for."""
        self.net.unreachable[HUB] = refused_connection()
        self.net.serve(HUB, reply(200))
        waiting = self.fetch()
        for _ in range(20):
            self.net.advance(0.1)
        self.assertNoResult(waiting)
        self.net.unreachable.clear()
        self.net.advance(0.9)
        self.assertEqual(self.done(waiting).status, 200)

    def test_refused_after_silence(self) -> None:
        """A url that refuses connections ends nothing while another one is only slow."""
        self.net.serve(NEAR, in_turn(silent, silent, reply(200)))
        self.net.unreachable[HUB] = refused_connection()
        waiting = self.fetch(urls=(NEAR, HUB))
        for _ in range(20):
            self.net.advance(1)
        self.assertEqual(self.done(waiting).host, "near.example")

    def test_refused_addresses(self) -> None:
        """A host whose addresses may not be met is asked for once: of each url, and of a redirect."""
        self.net.unreachable = {NEAR: AddressesRefused(), HUB: AddressesRefused()}
        failure = self.failed(self.fetch(urls=(NEAR, HUB)), UpstreamUnreachable)
        self.assertIn("none of its addresses is public", str(failure))
        self.assertEqual(self.net.dialled, [NEAR, HUB])
        self.net.unreachable = {CDN: AddressesRefused()}
        self.net.serve(HUB, to_cdn)
        self.failed(self.fetch(), UpstreamUnreachable)
        self.assertEqual(self.net.dialled.count(CDN), 1)
        self.assertEqual(len(self.net.seen), 1)
        self.assertFalse(self.agent.failures.bad("cdn.example"))

    def test_policy(self) -> None:
        """What we refuse ourselves is not asked for again, but the next url may do better."""
        evil = reply(307, location="https://evil.example/x")
        self.net.serve(HUB, evil)
        self.failed(self.fetch(), UpstreamBroken)
        self.assertEqual(len(self.net.seen), 1)
        self.net.serve(NEAR, evil)
        self.net.serve(HUB, reply(200))
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).host, "hub.example")
        self.assertFalse(self.agent.failures.bad("near.example"))

    def test_signature_ran_out(self) -> None:
        """A CDN's refusal asks the registry once more, for a fresh signature."""
        locations = iter((f"{CDN}/old", f"{CDN}/new"))
        self.net.serve(HUB, lambda request, seen: reply(307, location=next(locations))(request, seen))
        self.net.serve(CDN, Answers({"/old": (403, {}, b"expired"), "/new": (200, {}, b"ok")}))
        self.assertEqual(self.text(self.done(self.fetch())), b"ok")
        self.assertEqual([seen.header("Authorization") for seen in self.net.seen], ["Bearer t0ken", None] * 2)

    def test_refused_twice(self) -> None:
        """A CDN that refuses again has the last word; a registry's refusal is not asked for twice."""
        for status in (401, 403):
            self.net.seen.clear()
            self.net.serve(HUB, reply(307, location=f"{CDN}/x"))
            self.net.serve(CDN, reply(status))
            found = self.done(self.fetch())
            self.assertEqual((found.status, found.redirected, len(self.net.seen)), (status, True, 4))
            self.net.serve(HUB, reply(status))
            self.net.seen.clear()
            self.agent = self.net.agent()
            self.assertEqual((self.done(self.fetch()).status, len(self.net.seen)), (status, 1))

    def test_client_leaves(self) -> None:
        """Who leaves between two tries ends them, and nothing is held against anybody."""
        self.net.serve(HUB, silent)
        waiting = self.fetch()
        self.net.advance(1)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertFalse(self.agent.failures.bad("198.51.100.1"))
        self.net.serve(HUB, reply(503))
        waiting = self.fetch()
        self.net.advance()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.net.advance(25)
        self.assertEqual(len(self.net.seen), 2)
        self.assert_idle()


class PingTriesTests(TriesTestCase):
    """Pings and searches are short of time."""

    def test_two_tries(self) -> None:
        """What breaks off or is a server's error is asked for once more, at once."""
        side = self.side(search_url=HUB)
        for ask in (lambda: side.upstream.ping(()), lambda: side.upstream.search(b"q=a")):
            for second in (200, 500):
                self.net.serve(HUB, in_turn(reply(502), reply(second)))
                self.assertEqual(self.done(ask()).status, second)
        self.assertEqual(len(self.net.seen), 8)

    def test_broken_twice(self) -> None:
        """A second failure is told."""
        raw = self.net.raw(HUB)
        waiting = self.side().upstream.ping(())
        for number in range(2):
            connection: RawServer = raw.connections[number]
            connection.end()
            self.net.flush()
        self.failed(waiting, UpstreamBroken)

    def test_registry_alone(self) -> None:
        """A ping asks the registry itself, however many mirrors there are before it."""
        self.net.serve(HUB, reply(401))
        self.done(self.side(urls=(NEAR, HUB)).upstream.ping(()))
        self.assertEqual(self.net.dialled, [HUB])
