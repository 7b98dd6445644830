"""The admin listener: its pages, and what it has in common with the mirror's."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from docxy.settings.forms import network
from docxy.web.admin import CONNECTIONS, AdminResource, AdminSite, metrics_page
from docxy.web.request import MirrorRequest
from docxy.web.site import Served, TurnedAway
from tests.unit.metrics_rig import lines
from tests.unit.web.rig import Connection, Logged, Rig, address, settings


def hello(request: MirrorRequest) -> tuple[str, bytes]:
    """A page."""
    return "text/plain", b"hello"


class AdminTests(SynchronousTestCase):
    """Requests to the admin listener."""

    def setUp(self) -> None:
        """A listener with one page of its own, beside a mirror that is closed to everybody."""
        self.logged = Logged(self)
        closed = settings()
        closed = replace(closed, server=replace(closed.server, allow=(network("203.0.113.9"),)))
        self.rig = Rig(closed)
        self.serve(AdminResource({b"/hello": hello, b"/metrics": metrics_page(self.rig.metrics)}))

    def serve(self, resource: Resource) -> None:
        """Serve this."""
        served = Served(self.rig.settings, self.rig.front, lambda request: resource)
        self.site = AdminSite(served, self.rig.clock)

    def connect(self, peer: str = "127.0.0.1") -> Connection:
        """Somebody who watches."""
        return Connection(self.site, self.rig.clock, address(peer), address("127.0.0.1", 9100))

    def test_page(self) -> None:
        """GET brings a page, HEAD what is to be told of it, by address and by UNIX socket."""
        for peer in ("127.0.0.1", "unix"):
            client = self.connect(peer)
            came = client.get("/hello?x=1")
            self.assertEqual((came.status, came.body), (200, b"hello"))
            self.assertEqual(came.headers["Content-Type"], "text/plain")
            self.assertEqual(came.headers["Cache-Control"], "no-store")
            came = client.get("/hello", method="HEAD")
            self.assertEqual((came.status, came.headers["Content-Length"], came.body), (200, "5", b""))
            self.assertTrue(client.silent)

    def test_metrics(self) -> None:
        """The metrics come in the form that is asked for."""
        came = self.connect().get("/metrics")
        self.assertIn(b"# TYPE docxy_requests_total counter\n", came.body)
        came = self.connect().get("/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        self.assertTrue(came.body.endswith(b"# EOF\n"))

    def test_nothing_else(self) -> None:
        """Unknown paths, the mirror's among them, are 404; other methods 405."""
        client = self.connect()
        for path in ("/", "/v2/", "/health", "/hello/", "/hell%6f"):
            self.assertEqual(client.get(path).status, 404, path)
        self.assertIn("/hello, /metrics", client.get("/").json["errors"][0]["message"])
        came = client.get("/hello", method="DELETE")
        self.assertEqual((came.status, came.headers["Allow"]), (405, "GET, HEAD"))

    def test_apart(self) -> None:
        """Nothing that is asked here is counted, or stands in the access log."""
        client = self.connect()
        client.get("/hello")
        client.get("/nothing")
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual(client.answer().status, 400)
        self.assertEqual(lines(self.rig.metrics, "docxy_requests", "docxy_bytes"), [])
        self.assertEqual([event for event in self.logged.access if event["status"] != 400], [])

    def test_bounds(self) -> None:
        """Slow requests, large ones, and too many connections are refused as everywhere."""
        slow = self.connect()
        slow.send(b"GET /hello")
        self.rig.clock.advance(20)
        self.assertEqual(slow.answer().status, 408)
        large = self.connect()
        large.send(b"GET /hello HTTP/1.1\r\nX: " + b"x" * 70_000)
        self.assertEqual(large.answer().status, 431)
        many = [self.connect() for _ in range(CONNECTIONS)]
        self.assertIsInstance(self.connect().channel, TurnedAway)
        self.assertEqual(many[0].get("/hello").status, 200)

    def test_bug(self) -> None:
        """A page that fails is a 500."""

        def fail(request: MirrorRequest) -> tuple[str, bytes]:
            raise RuntimeError("bug")

        self.serve(AdminResource({b"/x": fail}))
        self.assertEqual(self.connect().get("/x").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
