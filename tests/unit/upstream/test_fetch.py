"""
Tests of `docxy.upstream.fetch`: questions, answers, urls and time, against sites in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
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
REDIRECT = b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %b/x\r\n\r\n" % CDN.encode()
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

    # Several urls

    def test_next_url(self) -> None:
        """A url that cannot be reached, breaks off or answers 5xx is followed by the next one, at once."""
        raw = self.net.raw(NEAR)
        self.net.serve(HUB, reply(200, b"ok"))
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
        self.net.unreachable[NEAR] = refused_connection()
        self.assertEqual(self.text(self.done(self.fetch(urls=(NEAR, HUB)))), b"ok")
        self.assertIn(f"{NEAR}{BLOB.decode()}: cannot connect", self.said())
        self.assertNotIn("t0ken", self.said())

    def test_mirror_before_the_registry(self) -> None:
        """A nearer mirror sees no credentials; what it refuses the registry is asked for: its word stands."""
        for status in (401, 403, 404, 429):
            self.net.seen.clear()
            self.net.serve(NEAR, reply(status))
            self.net.serve(HUB, reply(404))
            self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).host, "hub.example")
            self.assertEqual([seen.header("Authorization") for seen in self.net.seen], [None, "Bearer t0ken"])
        self.net.serve(NEAR, reply(200))
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).host, "near.example")

    def test_mirror_is_not_the_registry(self) -> None:
        """Where the registry cannot be had, a nearer mirror's refusal is no answer in its place."""
        self.net.serve(NEAR, reply(404))
        self.net.unreachable[HUB] = refused_connection()
        for _ in range(2):  # the second time the registry is known as absent, and asked last
            waiting = self.fetch(urls=(NEAR, HUB))
            self.pass_time(4)
            self.failed(waiting, UpstreamUnreachable)
        self.assertEqual(len(self.net.seen), 2)

    def test_every_url(self) -> None:
        """Urls are asked in turn, each at once the first time; a server error of the last try is relayed."""
        urls = [f"https://u{number}.example" for number in range(4)]
        for number, url in enumerate(urls):
            self.net.serve(url, reply(500 + number))
        self.assertEqual(self.done(self.fetch(urls=tuple(urls))).status, 503)
        self.assertEqual(self.net.dialled, urls)

    def test_round_again(self) -> None:
        """After the last url the first one is asked again, a little later."""
        self.net.serve(NEAR, reply(503))
        self.net.serve(HUB, reply(500))
        waiting = self.fetch(urls=(NEAR, HUB))
        self.net.advance()
        self.assertEqual(self.net.dialled, [NEAR, HUB])
        self.net.advance(0.1)
        self.assertEqual((self.done(waiting).status, self.net.dialled), (503, [NEAR, HUB, NEAR]))

    def test_refused_everywhere(self) -> None:
        """Where all urls refuse connections, that is told within four seconds."""
        self.net.unreachable[NEAR] = self.net.unreachable[HUB] = refused_connection()
        waiting = self.fetch(urls=(NEAR, HUB))
        self.pass_time(4)
        self.assertIn("refused", str(self.failed(waiting, UpstreamUnreachable)))
        self.assertEqual(self.net.dialled, [NEAR, HUB] * 4)
        self.assert_idle()

    def test_absent_url_is_remembered(self) -> None:
        """A url that could not be had is asked last for ten minutes; one that only broke off stays first."""
        self.net.serve(HUB, reply(200, b"ok"))
        raw = self.net.raw(NEAR)
        waiting = self.fetch(urls=(NEAR, HUB))
        raw.connections[-1].end()
        self.assertEqual(self.done(waiting).host, "hub.example")
        self.net.unreachable[NEAR] = refused_connection()
        self.net.dialled.clear()
        for seconds in (0, 1, 598):
            self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).status, 200)
            self.net.advance(seconds)
        self.assertEqual(self.net.dialled.count(NEAR), 1)
        self.net.advance(1)
        self.assertEqual(self.done(self.fetch(urls=(NEAR, HUB))).status, 200)
        self.assertEqual(self.net.dialled.count(NEAR), 2)

    def test_url_to_avoid(self) -> None:
        """A url whose host is to be avoided is asked after the others."""
        for url in (NEAR, HUB):
            self.net.serve(url, reply(200))
        upstream = self.side(urls=(NEAR, HUB)).upstream
        found = self.done(upstream.fetch(b"GET", BLOB, (), frozenset({"near.example"})))
        self.assertEqual(found.host, "hub.example")

    # Time

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps as small as the waits between tries."""
        for _ in range(round(seconds / 0.05)):
            self.net.advance(0.05)

    def test_silent_registry(self) -> None:
        """Silence before headers ends a try after eight seconds, and its connection; three have room."""
        self.net.serve(HUB, silent)
        waiting = self.fetch()
        self.net.advance(7.9)
        self.assertEqual(len(self.net.seen), 1)
        self.net.advance(0.1)
        self.assertEqual(self.net.open_connections(), [])
        self.pass_time(16)
        self.assertNoResult(waiting)
        self.pass_time(1)
        self.assertEqual(str(self.failed(waiting, UpstreamTimedOut)), "no header within 8 s")
        self.assertEqual((len(self.net.seen), self.net.open_connections()), (3, []))
        self.assert_idle()

    def test_time_in_all(self) -> None:
        """However slow each hop is, all tries together have twenty-five seconds."""
        raw = self.net.raw(HUB)
        self.net.serve(CDN, silent)
        waiting = self.fetch()
        for _ in range(24):
            self.net.advance(1)
            if self.clock.seconds() % 7 == 0:
                raw.connections[-1].say(REDIRECT)
        self.assertNoResult(waiting)
        self.net.advance(1)
        self.assertEqual(str(self.failed(waiting, UpstreamTimedOut)), "no answer within 25 s")
        self.assertEqual(self.net.open_connections(), [])
        self.assert_idle()

    def test_unreachable_host(self) -> None:
        """A host that swallows packets costs one try; the next url answers."""
        self.net.serve(HUB, reply(200, b"ok"))
        waiting = self.fetch(urls=(NEAR, HUB))
        self.net.advance(8)
        self.assertEqual(self.text(self.done(waiting)), b"ok")

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
