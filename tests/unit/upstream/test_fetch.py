"""
Tests of `docxy.upstream.fetch`: urls, hops, credentials and time, against sites in memory.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectBindError, ConnectionLost, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import IResponse
from zope.interface.verify import verifyObject

from docxy.interfaces import (
    IUpstream,
    Reply,
    UpstreamBroken,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from tests.unit.upstream.rig import (
    CDN,
    HUB,
    UpstreamTestCase,
    lines,
    refused_connection,
    reply,
    silent,
)

NEAR = "https://near.example"
BLOB = b"/v2/a/blobs/sha256:00"
SECRETS = lines(authorization="Bearer t0ken", cookie="c=1", range="bytes=5-", accept="a/b")


class FetchTests(UpstreamTestCase):
    def fetch(self, method: bytes = b"GET", target: bytes = BLOB, **changes: Any) -> Deferred[Reply]:
        """Ask for a blob with credentials."""
        return self.side(**changes).upstream.fetch(method, target, SECRETS)

    def test_interface(self) -> None:
        """It is an upstream as the mirror knows it."""
        self.assertTrue(verifyObject(IUpstream, self.side().upstream))

    def test_answer(self) -> None:
        """Status, headers, length, host and body are upstream's; the request is as it was given."""
        self.net.serve(HUB, reply(206, b"body", content_range="bytes 5-8/9", etag='"x"'))
        found = self.done(self.fetch(target=b"/v2/a/tags/list?n=5&last=%2Fb~"))
        self.assertEqual(
            (found.status, found.length, found.host, found.redirected), (206, 4, "hub.example", False)
        )
        self.assertEqual((found.header(b"ETAG"), found.lines(b"Content-Range")), ('"x"', ["bytes 5-8/9"]))
        self.assertEqual(self.text(found), b"body")
        self.assertEqual(self.net.transcript(), [f"GET {HUB}/v2/a/tags/list?n=5&last=%2Fb~"])
        (seen,) = self.net.seen
        shown = {name: seen.header(name) for name in ("Host", "Authorization", "Range", "Accept")}
        self.assertEqual(
            shown,
            {"Host": "hub.example", "Authorization": "Bearer t0ken", "Range": "bytes=5-", "Accept": "a/b"},
        )
        self.assert_idle()

    def test_coded_answer(self) -> None:
        """A rude server's coding is not undone, and none was asked for."""
        self.net.serve(HUB, reply(200, b"\x1f\x8bzipped", content_encoding="gzip"))
        waiting = self.side().upstream.fetch(b"GET", BLOB, lines(accept_encoding="identity"))
        found = self.done(waiting)
        self.assertEqual((self.text(found), found.header(b"content-encoding")), (b"\x1f\x8bzipped", "gzip"))
        self.assertEqual(self.net.seen[0].header("Accept-Encoding"), "identity")

    def test_every_line(self) -> None:
        """Several lines of one header stay several lines."""
        self.net.serve(HUB, reply(200))
        accepted = [(b"Accept", b"a/1"), (b"Accept", b"a/2"), (b"Accept", b"a/3"), (b"Accept", b"a/4")]
        self.done(self.side().upstream.fetch(b"GET", BLOB, accepted))
        self.assertEqual(self.net.seen[0].header("Accept"), "a/1 | a/2 | a/3 | a/4")

    def test_head_length(self) -> None:
        """A HEAD tells the length that a GET would have; nonsense and contradictions are none."""
        for sent, length in (("1234", 1234), ("12, 12", None), ("-5", None), ("9" * 30, None), ("", None)):
            raw = self.net.raw(HUB)
            waiting = self.fetch(b"HEAD")
            head = f"Content-Length: {sent}\r\n" if sent else ""
            raw.connections[0].say(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n".encode())
            self.assertEqual(self.done(waiting).length, length)
            self.agent = self.net.agent()

    def test_unknown_length(self) -> None:
        """A body in chunks has no length, and an announced one that no store can hold is no answer."""
        raw = self.net.raw(HUB)
        waiting = self.fetch()
        raw.connections[0].say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        found = self.done(waiting)
        self.assertEqual((found.length, self.text(found)), (None, b"abc"))
        waiting = self.fetch()
        raw.connections[0].say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 63))
        self.assertIn("impossible size", str(self.failed(waiting, UpstreamBroken)))
        self.net.advance(30)
        self.assertEqual(self.net.open_connections(), [])

    def test_odd_statuses(self) -> None:
        """304 is an answer; a 3xx that is no redirect and numbers that are no status are broken ones."""
        for status in (304, 404, 429, 500):
            self.net.serve(HUB, reply(status))
            self.assertEqual(self.done(self.fetch()).status, status)
            self.agent = self.net.agent()
        for status in (300, 305, 600, 99, 0, -5, 2000):
            raw = self.net.raw(HUB)
            waiting = self.fetch()
            raw.connections[0].say(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            self.assertIn("no answer to a pull", str(self.failed(waiting, UpstreamBroken)))
            self.agent = self.net.agent()

    # Several urls

    def test_next_url(self) -> None:
        """A url that cannot be reached, breaks off or answers 5xx is followed by the next one."""
        raw = self.net.raw(NEAR)
        self.net.serve(HUB, reply(200, b"ok"))
        self.net.unreachable[NEAR] = refused_connection()
        self.assertEqual(self.text(self.done(self.fetch(urls=(NEAR, HUB)))), b"ok")
        self.net.unreachable.clear()
        for said in (
            b"",
            b"HTTP/1.1 200",
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 502 X\r\nContent-Length: 4\r\n\r\n",
        ):
            waiting = self.fetch(urls=(NEAR, HUB))
            raw.connections[-1].say(said)
            raw.connections[-1].end()
            self.assertEqual(self.text(self.done(waiting)), b"ok")
        self.assertIn("the next url is tried", self.said())
        self.assertNotIn("t0ken", self.said())

    def test_first_answer_stands(self) -> None:
        """An answer below 500 of an earlier url is the answer."""
        self.net.serve(NEAR, reply(404))
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).status, 404)
        self.assertEqual(self.net.dialled, [NEAR])

    def test_last_url_has_the_last_word(self) -> None:
        """The last url's 5xx is relayed, its failure told."""
        self.net.serve(NEAR, reply(503))
        self.net.serve(HUB, reply(500))
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).status, 500)
        self.net.unreachable[NEAR] = self.net.unreachable[HUB] = refused_connection()
        self.agent = self.net.agent()
        self.assertIn("refused", str(self.failed(self.fetch(urls=(NEAR, HUB)), UpstreamUnreachable)))

    # Time

    def test_silent_registry(self) -> None:
        """Silence before headers ends an attempt after eight seconds, and its connection."""
        self.net.serve(HUB, silent)
        waiting = self.fetch()
        self.net.advance(7.9)
        self.assertNoResult(waiting)
        self.net.advance(0.1)
        self.assertEqual(str(self.failed(waiting, UpstreamTimedOut)), "no header within 8 s")
        self.assertEqual(self.net.open_connections(), [])
        self.assert_idle()

    def test_silent_urls(self) -> None:
        """Each url has its eight seconds, all have twenty-five."""
        for number in range(4):
            self.net.serve(f"https://u{number}.example", silent)
        waiting = self.fetch(urls=tuple(f"https://u{number}.example" for number in range(4)))
        for _ in range(25):
            self.assertNoResult(waiting)
            self.net.advance(1)
        self.assertEqual(str(self.failed(waiting, UpstreamTimedOut)), "no answer within 25 s")
        self.assertEqual((len(self.net.seen), self.net.open_connections()), (4, []))
        self.assert_idle()

    def test_unreachable_host(self) -> None:
        """A host that swallows packets costs one attempt; the next url answers."""
        self.net.serve(HUB, reply(200, b"ok"))
        waiting = self.fetch(urls=(NEAR, HUB))
        self.net.advance(8)
        self.assertEqual(self.text(self.done(waiting)), b"ok")

    def test_each_hop_has_its_time(self) -> None:
        """A redirect's target has eight seconds of its own."""
        raw = self.net.raw(HUB)
        self.net.serve(CDN, silent)
        waiting = self.fetch()
        self.net.advance(7)
        raw.connections[0].say(
            b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %b/x\r\n\r\n" % CDN.encode()
        )
        self.net.advance(7)
        self.assertNoResult(waiting)
        self.net.advance(1)
        self.failed(waiting, UpstreamTimedOut)

    def test_large_head(self) -> None:
        """An endless head is told as what it is."""
        raw = self.net.raw(HUB)
        waiting = self.fetch()
        raw.connections[0].say(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000)
        self.assertIn("headers are larger", str(self.failed(waiting, UpstreamBroken)))
        self.assert_idle()

    def test_cancelled(self) -> None:
        """Who leaves ends the request in whatever state it is, and no other url is tried."""
        raw = self.net.raw(NEAR)
        self.net.serve(HUB, reply(200))
        for said in (None, b"", b"HTTP/1.1 200 OK\r\nX: y\r\n"):
            if said is None:
                waiting = self.side(urls=("https://void.example", HUB)).upstream.fetch(b"GET", BLOB, ())
            else:
                waiting = self.fetch(urls=(NEAR, HUB))
                raw.connections[-1].say(said)
                self.net.flush()
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assert_idle()
        self.assertNotIn(HUB, self.net.dialled)
        self.assertEqual(self.net.open_connections(), [])

    # Ping and search

    def test_ping(self) -> None:
        """A ping asks for /v2/ and waits no longer than clients do."""
        self.net.serve(HUB, reply(401))
        self.assertEqual(self.done(self.side().upstream.ping(())).status, 401)
        self.assertEqual(self.net.transcript(), [f"GET {HUB}/v2/"])
        for origin in (NEAR, HUB):
            self.net.serve(origin, silent)
        self.agent = self.net.agent()
        waiting = self.side(urls=(NEAR, HUB)).upstream.ping(())
        self.net.advance(8)
        self.net.advance(2)
        self.assertEqual(str(self.failed(waiting, UpstreamTimedOut)), "no answer within 10 s")
        self.assert_idle()

    def test_search(self) -> None:
        """A search goes to the index, with its query and no credentials."""
        index = "https://index.hub.example"
        self.net.serve(index, reply(200, b"{}"))
        found = self.side(search_url=index).upstream.search(b"q=a%20b&n=25")
        self.assertEqual(self.text(self.done(found)), b"{}")
        (seen,) = self.net.seen
        self.assertEqual(
            (str(seen), seen.header("Authorization")), (f"GET {index}/v1/search?q=a%20b&n=25", None)
        )

    def test_no_search(self) -> None:
        """A registry without an index has no search; a query that is no query is not sent."""
        self.assertIn("no search", str(self.failed(self.side().upstream.search(b"q"), UpstreamBroken)))
        index = "https://index.hub.example"
        for query in (b"\xff", b"a b", b"a\r\nX: y"):
            self.failed(self.side(search_url=index).upstream.search(query), UpstreamUnreachable)
        self.assertEqual(self.net.dialled, [])
