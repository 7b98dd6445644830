"""What a request says, as it was sent."""

from __future__ import annotations

from twisted.internet.address import IPv6Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from docxy.web.request import MirrorRequest
from tests.unit.web.rig import Rig, request


class Kept(Resource):
    """Keeps its request and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.request: MirrorRequest | None = None

    def render(self, request: MirrorRequest) -> int:
        """Keep it."""
        self.request = request
        return 1


class Broken(Resource):
    """Fails before anything is known."""

    def render(self, request: MirrorRequest) -> int:
        """Fail."""
        raise ValueError("a bug")


class RequestTests(SynchronousTestCase):
    """Requests as resources see them."""

    def kept(self, *headers: str, peer: str = "203.0.113.7", target: str = "/x") -> MirrorRequest:
        """A request that is being served."""
        rig = Rig()
        kept = Kept()
        rig.site.resource_for = lambda request: kept  # type: ignore[method-assign]
        rig.connect(peer, "2001:db8::9" if ":" in peer else "192.0.2.1").ask(target, *headers)
        assert kept.request is not None
        return kept.request

    def test_raw(self) -> None:
        """Path and query stay as they were sent; nothing is decoded into arguments."""
        found = self.kept(target="/a%2Fb/../c?x=%41&x=&y")
        self.assertEqual((found.path, found.query), (b"/a%2Fb/../c", b"x=%41&x=&y"))
        self.assertEqual(found.args, {})
        self.assertEqual(found.clientproto, b"HTTP/1.1")

    def test_headers(self) -> None:
        """Every line of a header is kept; what may be sent once counts only when it was."""
        found = self.kept("Accept: a", "X-One: 1", "Accept: b")
        self.assertEqual(found.lines(b"accept"), ["a", "b"])
        self.assertEqual(found.single(b"X-One"), "1")
        self.assertIsNone(found.single(b"Accept"))
        self.assertIsNone(found.single(b"Absent"))
        self.assertEqual([line for line in found.header_lines() if line[0] == b"X-One"], [(b"X-One", b"1")])

    def test_no_cookies(self) -> None:
        """Cookies are not read."""
        self.assertEqual(self.kept("Cookie: a=b").received_cookies, {})

    def test_addresses(self) -> None:
        """Both ends are told, a unix socket's as none."""
        found = self.kept()
        self.assertEqual((found.peer(), found.local_address()), ("203.0.113.7", ("192.0.2.1", 5000)))
        self.assertEqual(self.kept(peer="2001:db8::1").peer(), "2001:db8::1")
        unix = self.kept(peer="unix")
        self.assertIsNone(unix.peer())
        unix.channel.getHost = unix.channel.getPeer  # type: ignore[method-assign]
        self.assertIsNone(unix.local_address())
        self.assertEqual(IPv6Address("TCP", "::1", 1).host, "::1")

    def test_broken_resource(self) -> None:
        """A resource that fails at once is a bug: it is logged, and the client gets 500 as OCI JSON."""
        rig = Rig()
        rig.site.resource_for = lambda request: Broken()  # type: ignore[method-assign]
        connection = rig.connect()
        connection.send(request("GET", "/x"))
        came = connection.answer()
        self.assertEqual((came.status, came.code), (500, "UNKNOWN"))
        self.assertNotIn(b"a bug", came.body)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
