"""
Tests of `docxy.upstream.attempt`: hops, credentials and what is an answer, against sites in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.server import Request
from zope.interface import implementer

from docxy.interfaces import (
    Reply,
    UpstreamBroken,
    UpstreamUnreachable,
)
from docxy.upstream.agent import UpstreamAgent
from docxy.upstream.attempt import host_of
from docxy.upstream.failures import FailureMemory
from tests.unit.upstream.rig import (
    CDN,
    HUB,
    Answering,
    Answers,
    Seen,
    UpstreamTestCase,
    lines,
    reply,
    silent,
)

NEAR = "https://near.example"
BLOB = b"/v2/a/blobs/sha256:00"
REDIRECT = b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %b/x\r\n\r\n" % CDN.encode()
SECRETS = lines(authorization="Bearer t0ken", cookie="c=1", range="bytes=5-", accept="a/b")


def redirect(location: str | None, status: int = 307) -> Answering:
    """A server that sends everybody elsewhere."""
    return reply(status, b"see there") if location is None else reply(status, b"see there", location=location)


class RedirectTests(UpstreamTestCase):
    def fetch(self, method: bytes = b"GET", target: bytes = BLOB, **changes: Any) -> Deferred[Reply]:
        """Ask for a blob with credentials."""
        return self.side(**changes).upstream.fetch(method, target, SECRETS)

    def broken(self, expected: str, **changes: Any) -> None:
        """A fetch fails as broken, with a text that says this and repeats no query."""
        text = str(self.failed(self.fetch(**changes), UpstreamBroken))
        self.assertIn(expected, text)
        self.assertNotIn("sig", text)
        self.assert_idle()

    def test_redirect_to_storage(self) -> None:
        """The CDN sees method, Range and the query's very bytes, and neither credential nor cookie."""
        location = f"{CDN}:8443/b?sig=%2b/~%7E&x=a+b#part"
        for method in (b"GET", b"HEAD"):
            for status in (301, 302, 303, 307, 308):
                self.net.seen.clear()
                self.net.serve(HUB, redirect(location, status))
                self.net.serve(f"{CDN}:8443", reply(206, b"bytes"))
                found = self.done(self.fetch(method))
                self.assertEqual(
                    (found.status, found.redirected, found.host), (206, True, "cdn.example:8443")
                )
                seen = self.net.seen[-1]
                self.assertEqual(str(seen), f"{method.decode()} {CDN}:8443/b?sig=%2b/~%7E&x=a+b")
                shown = [seen.header(name) for name in ("Host", "Range", "Authorization", "Cookie")]
                self.assertEqual(shown, ["cdn.example:8443", "bytes=5-", None, None])
                found.body.drop()

    def test_within_the_registry(self) -> None:
        """A redirect to another path of the registry keeps the credentials."""
        self.net.serve(
            HUB, Answers({BLOB.decode(): (307, {"Location": "/other?x"}, b""), "/other": (200, {}, b"ok")})
        )
        found = self.done(self.fetch())
        self.assertEqual((found.redirected, self.text(found)), (False, b"ok"))
        self.assertEqual(self.net.transcript()[1], f"GET {HUB}/other?x")
        self.assertEqual(self.net.seen[1].header("Authorization"), "Bearer t0ken")

    def test_relative_second_hop(self) -> None:
        """A relative Location belongs to the URL that sent it, not to the first one."""
        self.net.serve(HUB, redirect(f"{CDN}/sub/one?a"))
        self.net.serve(
            CDN, Answers({"/sub/one": (302, {"Location": "two?b"}, b""), "/sub/two": (200, {}, b"ok")})
        )
        self.assertEqual(self.text(self.done(self.fetch())), b"ok")
        self.assertEqual(self.net.transcript()[1:], [f"GET {CDN}/sub/one?a", f"GET {CDN}/sub/two?b"])

    def test_back_again(self) -> None:
        """Credentials that were dropped stay dropped when the way leads back to the registry."""
        self.net.serve(
            HUB, Answers({BLOB.decode(): (307, {"Location": f"{CDN}/x"}, b""), "/back": (200, {}, b"ok")})
        )
        self.net.serve(CDN, redirect(f"{HUB}/back"))
        found = self.done(self.fetch())
        self.assertEqual((self.text(found), found.redirected), (b"ok", True))
        self.assertEqual(
            [seen.header("Authorization") for seen in self.net.seen], ["Bearer t0ken", None, None]
        )

    def test_port_is_another_origin(self) -> None:
        """The registry's own host on another port gets no credentials."""
        self.net.serve(HUB, redirect(f"{HUB}:8443/x"))
        self.net.serve(f"{HUB}:8443", reply(200))
        self.done(self.fetch(redirects=("hub.example:8443",)))
        self.assertEqual(self.net.seen[1].header("Authorization"), None)

    def test_loop(self) -> None:
        """A loop ends after five hops."""
        self.net.serve(HUB, redirect(f"{HUB}/again?sig=1"))
        self.broken("more than 5 redirects")
        self.assertEqual(len(self.net.seen), 6)

    def test_refused_hops(self) -> None:
        """Plain http, strangers, addresses and nonsense are not followed, and nothing is sent there."""
        for location in (
            "http://cdn.example/x?sig=1",
            "https://stranger.example/x?sig=1",
            "https://127.0.0.1/x?sig=1",
            "https://2130706433/x?sig=1",
            "https://user@cdn.example/x?sig=1",
            "ftp://cdn.example/x?sig=1",
            "https://cdn.example/" + "x" * 9000,
        ):
            self.net.serve(HUB, redirect(location))
            self.broken("redirect")
        self.assertEqual(set(self.net.dialled), {HUB})

    def test_no_location(self) -> None:
        """A redirect that does not say where to is broken."""
        self.net.serve(HUB, redirect(None))
        self.broken("no Location")

    def test_unusable_names(self) -> None:
        """A host name that IDNA does not know fails like any that cannot be reached, and is asked once."""
        asked: list[bytes] = []

        @implementer(IAgentEndpointFactory)
        class Picky:
            def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
                asked.append(uri.host)
                raise UnicodeError(f"no such name in {uri!r}")

        self.agent = UpstreamAgent(self.clock, Picky(), FailureMemory(self.clock))
        error = self.failed(self.fetch(), UpstreamUnreachable)
        self.assertEqual((str(error), asked), ("its URL or host name cannot be used", [b"hub.example"]))


class AnswerTests(UpstreamTestCase):
    """What counts as an answer, and how long it may take."""

    def fetch(self, method: bytes = b"GET", target: bytes = BLOB, **changes: Any) -> Deferred[Reply]:
        """Ask for a blob with credentials."""
        return self.side(**changes).upstream.fetch(method, target, SECRETS)

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
        for status in (304, 404, 408, 429):
            self.net.serve(HUB, reply(status))
            self.assertEqual(self.done(self.fetch()).status, status)
            self.agent = self.net.agent()
        for status in (300, 305, 600, 99, 0, -5, 2000):
            raw = self.net.raw(HUB)
            waiting = self.fetch()
            raw.connections[0].say(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
            self.assertIn("no answer to a pull", str(self.failed(waiting, UpstreamBroken)))
            self.agent = self.net.agent()

    def test_each_hop_has_its_time(self) -> None:
        """A redirect's target has eight seconds of its own."""
        raw = self.net.raw(HUB)
        self.net.serve(CDN, silent)
        self.fetch()
        self.net.advance(7)
        raw.connections[0].say(REDIRECT)
        self.net.advance(7)
        self.assertEqual(len(self.net.open_connections()), 2)
        self.net.advance(1)
        self.assertEqual(len(self.net.open_connections()), 1)

    def test_large_head(self) -> None:
        """An endless head is told as what it is, and not asked for again."""
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


class AvoidTests(UpstreamTestCase):
    """Hosts that are to be avoided come last."""

    def sent_to(self, *hosts: str) -> None:
        """Let the registry send those who ask to each of these hosts in turn, to the last one ever after."""
        left = list(hosts)
        for host in hosts:
            self.net.serve(f"https://{host}", reply(200, host.encode()))

        def answering(request: Request, seen: Seen) -> bytes | int:
            host = left.pop(0) if len(left) > 1 else left[0]
            return redirect(f"https://{host}/x?sig=1")(request, seen)

        self.net.serve(HUB, answering)

    def asked(self, avoid: set[str]) -> list[str]:
        """The hosts that a blob was asked at."""
        self.net.seen.clear()
        found = self.done(self.side().upstream.fetch(b"GET", BLOB, SECRETS, frozenset(avoid)))
        self.assertEqual(self.text(found).decode(), found.host)
        return [host_of(seen.url) for seen in self.net.seen]

    def test_another_host(self) -> None:
        """The registry is asked again for another host, which sees no more than the first would have."""
        self.sent_to("a.store.example", "b.store.example")
        self.assertEqual(self.asked({"a.store.example"}), ["hub.example", "hub.example", "b.store.example"])
        headers = [seen.header("Authorization") for seen in self.net.seen]
        self.assertEqual(headers, ["Bearer t0ken", "Bearer t0ken", None])

    def test_no_other_host(self) -> None:
        """A registry that knows no other host is asked three times in all; then its host is taken."""
        self.sent_to("a.store.example")
        self.assertEqual(self.asked({"a.store.example"}), ["hub.example"] * 3 + ["a.store.example"])
        self.assertNotIn("again", self.said())

    def test_port(self) -> None:
        """A host is avoided as it is told, with its port."""
        self.sent_to("cdn.example:8443", "cdn.example")
        self.assertEqual(self.asked({"cdn.example"}), ["hub.example", "cdn.example:8443"])
        self.assertEqual(self.asked({"cdn.example:8443"}), ["hub.example", "cdn.example"])

    def test_registry_itself(self) -> None:
        """The registry's own answers are taken wherever else there is none."""
        self.net.serve(
            HUB, Answers({BLOB.decode(): (307, {"Location": "/o"}, b""), "/o": (200, {}, b"hub.example")})
        )
        self.assertEqual(self.asked({"hub.example"}), ["hub.example"] * 2)


class HostOfTests(SynchronousTestCase):
    def test_hosts(self) -> None:
        """Host and port alone: a query without a path before it is not let out."""
        for url, host in (
            ("https://cdn.example/a?b", "cdn.example"),
            ("https://CDN.example:8443", "cdn.example:8443"),
            ("https://cdn.example?sig=secret/x", "cdn.example"),
            ("https://[2a00::1]:5000/v2/", "[2a00::1]:5000"),
            ("https://cdn.example#sig", "cdn.example"),
        ):
            self.assertEqual(host_of(url), host)
