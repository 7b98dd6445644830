"""The URL tree, and who may connect."""

from __future__ import annotations

from dataclasses import replace

from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPFactory
from twisted.web.server import Site

from docxy.settings.forms import network
from docxy.tls.certificates import CertificatePair
from docxy.tls.server import server_creator
from docxy.web.site import MirrorSite, TurnedAway
from tests.unit.tls import throwaway
from tests.unit.web.rig import (
    CLIENT,
    GHCR,
    HUB,
    Connection,
    Line,
    Rig,
    address,
    request,
    settings,
    with_limits,
)

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"


class PathTests(SynchronousTestCase):
    """What stands where."""

    def test_malformed(self) -> None:
        """A path that is not exactly right is refused as OCI JSON, and the next request is served."""
        connection = Rig(settings(HUB, GHCR)).connect()
        for target, status, code in (
            ("/v2/library/alpine/manifests/..%2f..", 400, "TAG_INVALID"),
            ("/v2/library/alpine/manifests/%2e%2e", 400, "TAG_INVALID"),
            (f"/v2/a%2Fb/blobs/{DIGEST}", 400, "NAME_INVALID"),
            ("/v2/A/manifests/x", 400, "NAME_INVALID"),
            ("//v2/", 404, "NOT_FOUND"),
            ("//v2//a/manifests/x", 404, "NOT_FOUND"),
            ("/v2//manifests/latest", 400, "NAME_INVALID"),
            ("/v2/library/alpine/manifests/", 400, "TAG_INVALID"),
            ("/v2/library/alpine/blobs/latest", 400, "DIGEST_INVALID"),
            (f"/v2/library/alpine/blobs/sha256:{HEX.upper()}", 400, "DIGEST_INVALID"),
            (f"/v2/{'a' * 400}/manifests/latest", 400, "NAME_INVALID"),
            (f"/v2/library/alpine/manifests/{'t' * 129}", 400, "TAG_INVALID"),
            ("/v2/foo/blobs/uploads/", 404, "NOT_FOUND"),
            ("/v2/library/alpine/manifests/latest?ns=evil.example", 404, "NAME_UNKNOWN"),
            ("/v2/library/alpine/manifests/latest?ns=docker.io&ns=ghcr.io", 400, "UNSUPPORTED"),
            ("/v2/ghcr.io/a/b/manifests/v1?ns=docker.io", 400, "UNSUPPORTED"),
            ("/v2/nowhere.example/app/manifests/v1", 404, "NAME_UNKNOWN"),
            ("/v2/library/alpine/manifests/a%00b", 400, "TAG_INVALID"),
            ("/v2/library/alpine/unknown/latest", 404, "NOT_FOUND"),
            ("http://evil.example/v2/", 400, "UNSUPPORTED"),
            ("http://mirror.example.com/v2/", 400, "UNSUPPORTED"),
            ("mirror.example.com:443", 400, "UNSUPPORTED"),
            ("*", 400, "UNSUPPORTED"),
            ("/auth//token", 404, "NOT_FOUND"),
            ("/auth/%74oken", 404, "NOT_FOUND"),
            ("/auth/evil.example/token", 404, "NAME_UNKNOWN"),
            ("/v2/../auth/token", 404, "NOT_FOUND"),
            ("/../etc/passwd", 404, "NOT_FOUND"),
            ("/nowhere", 404, "NOT_FOUND"),
            ("/health/", 404, "NOT_FOUND"),
        ):
            with self.subTest(target=target):
                came = connection.get(target)
                self.assertEqual((came.status, came.code), (status, code))
                self.assertNotIn(b"evil.example/v2", came.body)
                self.assertEqual(connection.get("/health").status, 200)

    def test_methods(self) -> None:
        """A method that a path does not have is refused with those that it has."""
        connection = Rig().connect()
        for target, allow in (
            ("/v2/", "GET, HEAD"),
            ("/v2/library/alpine/manifests/latest", "GET, HEAD"),
            (f"/v2/library/alpine/blobs/{DIGEST}", "GET, HEAD"),
            ("/v2/library/alpine/blobs/uploads/", "GET, HEAD"),
            ("/v2/library/alpine/tags/list", "GET, HEAD"),
            ("/health", "GET, HEAD"),
            ("/generate_204", "GET, HEAD"),
            ("/", "GET, HEAD"),
            ("/v1/_ping", "GET, HEAD"),
        ):
            for method in ("PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "CONNECT"):
                with self.subTest(target=target, method=method):
                    came = connection.get(target, "Content-Length: 0", method=method)
                    self.assertEqual((came.status, came.code), (405, "UNSUPPORTED"))
                    self.assertEqual(came.headers["Allow"], allow)
        came = connection.get("/auth/token", method="PUT")
        self.assertEqual((came.status, came.headers["Allow"]), (405, "GET, POST"))

    def test_head(self) -> None:
        """A refused HEAD has the headers of its refusal and no body."""
        connection = Rig().connect()
        came = connection.get("/v2/A/manifests/x", method="HEAD")
        self.assertEqual((came.status, came.body), (400, b""))
        self.assertGreater(int(came.headers["Content-Length"]), 10)
        self.assertTrue(connection.silent)

    def test_every_answer(self) -> None:
        """Every answer names its server and its date, and none lets itself be cached by others."""
        connection = Rig().connect()
        for target in ("/v2/", "/nowhere", "/health"):
            came = connection.get(target)
            self.assertEqual(came.headers["Server"], "docxy")
            self.assertIn("GMT", came.headers["Date"])
            self.assertRegex(came.headers["Cache-Control"], "no-store|private")


class ConnectionTests(SynchronousTestCase):
    """How many connections a client may have."""

    def setUp(self) -> None:
        """Two connections a client."""
        self.rig = Rig(with_limits(connections_per_client=2))

    def test_limit(self) -> None:
        """One too many is closed at once, and one that ends makes room."""
        first, _ = self.rig.connect(), self.rig.connect()
        third = self.rig.connect()
        self.assertIsInstance(third.channel, TurnedAway)
        self.assertTrue(third.closed)
        self.assertEqual(self.rig.connect("203.0.113.8").get("/health").status, 200)
        first.leave()
        self.assertEqual(self.rig.connect().get("/health").status, 200)

    def test_total(self) -> None:
        """All clients have one limit, proxies and Unix sockets too."""
        rig = Rig(
            settings(limits=with_limits(connections=4).limits, trusted_proxies=(network("10.0.0.0/8"),))
        )
        for peer in ("203.0.113.1", "203.0.113.2", "10.0.0.1", "unix"):
            self.assertFalse(rig.connect(peer).closed)
        for peer in ("203.0.113.3", "10.0.0.1", "unix"):
            self.assertTrue(rig.connect(peer).closed)

    def test_sites_share(self) -> None:
        """Two sites of one process have one count."""
        rig = self.rig
        other = MirrorSite(replace(rig.site.served, find=lambda _: rig.health), rig.open, rig.clock)
        self.assertFalse(rig.connect().closed)
        second = Connection(other, rig.clock, address(CLIENT), address("192.0.2.1"))
        self.assertFalse(second.closed)
        self.assertTrue(rig.connect().closed)
        second.leave()
        self.assertFalse(rig.connect().closed)

    def test_wide_ipv6(self) -> None:
        """An IPv6 /48 has four times the limit."""
        for subnet in range(4):
            for _ in range(2):
                self.assertFalse(self.rig.connect(f"2001:db8:1:{subnet}::1").closed)
        self.assertTrue(self.rig.connect("2001:db8:1:4::1").closed)
        self.assertFalse(self.rig.connect("2001:db8:2::1").closed)

    def test_ipv6(self) -> None:
        """Of IPv6 addresses a /64 is one client; a mapped IPv4 address is the IPv4 client."""
        for address_ in ("2001:db8::1", "2001:db8::2"):
            self.assertFalse(self.rig.connect(address_).closed)
        self.assertTrue(self.rig.connect("2001:db8::3").closed)
        self.assertFalse(self.rig.connect("2001:db8:0:1::1").closed)
        for address_ in ("192.0.2.7", "::ffff:192.0.2.7"):
            self.assertFalse(self.rig.connect(address_).closed)
        self.assertTrue(self.rig.connect("192.0.2.7").closed)

    def test_proxies(self) -> None:
        """Trusted proxies and unix sockets carry everybody's connections."""
        rig = Rig(
            settings(
                limits=with_limits(connections_per_client=1).limits,
                trusted_proxies=(network("10.0.0.0/8"),),
            )
        )
        for peer in ("10.0.0.1", "10.0.0.1", "unix", "unix"):
            self.assertFalse(rig.connect(peer).closed)

    def test_below_tls(self) -> None:
        """A connection that is turned away in the middle of TLS ends without an error of ours."""
        issued = throwaway.leaf()
        pair = CertificatePair((issued.certificate,), issued.key, (), throwaway.NOW)  # type: ignore[arg-type]
        factory = TLSMemoryBIOFactory(server_creator(pair), False, self.rig.site, self.rig.clock)
        ends = []
        for _ in range(3):
            transport = Line(self.rig.clock, address("203.0.113.7"), address("192.0.2.1"))
            end = factory.buildProtocol(address("203.0.113.7"))
            end.makeConnection(transport)
            ends.append(transport)
        self.assertEqual([end.aborted or end.disconnecting for end in ends], [False, False, True])

    def test_lost_twice(self) -> None:
        """A connection is counted down once."""
        connection = self.rig.connect()
        self.rig.site.channel_lost(connection.http)
        self.rig.site.channel_lost(connection.http)
        self.assertEqual(self.rig.connections(), 0)


class StockTests(SynchronousTestCase):
    """What is switched off of Twisted's own site."""

    def test_no_access_log(self) -> None:
        """The stock log, which has query strings, is never written, and no clock runs for it."""
        rig = Rig()
        rig.site.doStart()
        self.assertEqual(rig.clock.getDelayedCalls(), [])
        connection = rig.connect()
        connection.send(request("GET", "/health?secret=1"))
        self.assertEqual(connection.answer().status, 200)
        rig.site.doStop()
        self.assertTrue(callable(HTTPFactory.log) and callable(Site.buildProtocol))
