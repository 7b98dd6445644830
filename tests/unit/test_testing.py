"""Tests for `docxy.testing`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from zope.interface.verify import verifyObject

from docxy.interfaces import (
    Authority,
    IBody,
    ITokenSource,
    IUpstream,
    Reply,
    TokenReply,
    TokenRequest,
    UpstreamBroken,
    UpstreamTimedOut,
)
from docxy.oci.scopes import Scope
from docxy.settings.values import UpstreamSettings
from docxy.testing import BEARER, End, FakeTokenSource, FakeUpstream, MemoryBody, ScriptOver, reply

SETTINGS = UpstreamSettings(name="r.example", urls=("https://r.example",))
SCOPES = (Scope("repository", "a", ("pull",)),)


class Reader(Protocol):
    """Keeps what comes; pauses or stops after so many bytes."""

    def __init__(self, pause_after: int | None = None, stop_after: int | None = None) -> None:
        self.pieces: list[bytes] = []
        self.ended: Failure | None = None
        self._pause_after = pause_after
        self._stop_after = stop_after

    @property
    def producer(self) -> IPushProducer:
        """The transport, as readers of bodies use it."""
        producer: IPushProducer = self.transport  # type: ignore[assignment]
        return producer

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        size = len(b"".join(self.pieces))
        if size == self._pause_after:
            self.producer.pauseProducing()
        if size == self._stop_after:
            self.producer.stopProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason


def delivered(body: MemoryBody, reader: Reader | None = None) -> Reader:
    """A reader that took the body."""
    reader = reader or Reader()
    body.deliver(reader)
    return reader


class InterfaceTests(SynchronousTestCase):
    """The fakes are what they stand for."""

    def test_verified(self) -> None:
        """Each fake has the methods and attributes of its interface."""
        verifyObject(IBody, MemoryBody())
        verifyObject(IUpstream, FakeUpstream())
        verifyObject(ITokenSource, FakeTokenSource(SETTINGS))
        reader = delivered(MemoryBody(end="never"))
        verifyObject(IPushProducer, reader.producer)


class DeliveryTests(SynchronousTestCase):
    """A body handed to a protocol."""

    def test_pieces(self) -> None:
        """The content comes in pieces of the size asked for, then its end."""
        body = MemoryBody(b"abcdefg", piece=3)
        reader = delivered(body)
        self.assertEqual(reader.pieces, [b"abc", b"def", b"g"])
        self.assertEqual((body.fate, body.sent), ("delivered", 7))
        assert reader.ended is not None
        reader.ended.trap(ResponseDone)

    def test_ends(self) -> None:
        """Every end is told by the exception that Twisted tells it by."""
        ends: tuple[tuple[End, type[Exception]], ...] = (
            ("whole", ResponseDone),
            ("unknown", PotentialDataLoss),
            ("broken", ResponseFailed),
        )
        for end, exception in ends:
            reader = delivered(MemoryBody(b"a", end=end))
            assert reader.ended is not None
            reader.ended.trap(exception)

    def test_never(self) -> None:
        """A body that never ends stands still until the test goes on."""
        body = MemoryBody(b"a", end="never")
        reader = delivered(body)
        body.arrive(b"b")
        self.assertEqual((reader.pieces, reader.ended), ([b"a", b"b"], None))
        body.close()
        body.close()
        assert reader.ended is not None
        reader.ended.trap(ResponseFailed)

    def test_paused(self) -> None:
        """Nothing comes to a reader that paused, until it resumes."""
        body = MemoryBody(b"abcd", piece=1)
        reader = delivered(body, Reader(pause_after=2))
        self.assertEqual((reader.pieces, reader.ended, body.paused), ([b"a", b"b"], None, True))
        body.pump()
        self.assertEqual(len(reader.pieces), 2)
        reader.producer.resumeProducing()
        self.assertEqual((b"".join(reader.pieces), body.paused), (b"abcd", False))
        self.assertIsNotNone(reader.ended)

    def test_stopped(self) -> None:
        """Who stops an endless body gets no more, and the loss only when the test tells it."""
        body = MemoryBody(b"ab", endless=True, piece=1)
        reader = delivered(body, Reader(stop_after=5))
        self.assertEqual((b"".join(reader.pieces), body.stopped, reader.ended), (b"ababa", True, None))
        body.close()
        self.assertIsNotNone(reader.ended)

    def test_not_reentered(self) -> None:
        """Bytes that arrive while others are handed over keep their order."""
        body = MemoryBody(b"a", end="never")

        class Echo(Reader):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                if data == b"a":
                    body.arrive(b"b")
                    assert self.pieces == [b"a"]

        self.assertEqual(delivered(body, Echo()).pieces, [b"a", b"b"])

    def test_once(self) -> None:
        """A body is taken once, as a real one is."""
        for take in (lambda body: body.drop(), lambda body: body.read(9), delivered):
            body = MemoryBody()
            body.drop()
            self.assertRaises(ScriptOver, take, body)


class ReadTests(SynchronousTestCase):
    """A body read whole."""

    def test_read(self) -> None:
        """All of a body within the bound, whole or of untold end."""
        for end in ("whole", "unknown"):
            body = MemoryBody(b"abc", end=end, piece=2)
            self.assertEqual(self.successResultOf(body.read(3)), b"abc")
            self.assertEqual(body.fate, "read")

    def test_refused(self) -> None:
        """Too large, endless and broken bodies fail."""
        for body in (MemoryBody(b"abcd"), MemoryBody(b"a", endless=True), MemoryBody(b"a", end="broken")):
            self.failureResultOf(body.read(3), UpstreamBroken)
            body.close()

    def test_cancelled(self) -> None:
        """Who gives up reading ends the connection."""
        body = MemoryBody(b"a", end="never")
        reading = body.read(3)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(body.stopped)


class ReplyTests(SynchronousTestCase):
    """Replies made for scripts."""

    def test_length(self) -> None:
        """The length is that of bytes, or as told; of a body it is unknown."""
        self.assertEqual(reply(200, b"abc").length, 3)
        self.assertEqual(reply(200, length=7).length, 7)
        self.assertIsNone(reply(200, MemoryBody(b"abc")).length)
        self.assertEqual(reply(200, MemoryBody(b"abc"), length=3).length, 3)

    def test_headers(self) -> None:
        """A reply's headers are found whatever their case, the first or all."""
        found = reply(headers=[(b"Link", b"a"), (b"LINK", b"b")])
        self.assertEqual((found.header(b"link"), found.lines(b"Link")), ("a", ["a", "b"]))
        self.assertEqual((found.header(b"etag"), found.lines(b"etag")), (None, []))


class UpstreamTests(SynchronousTestCase):
    """The scripted upstream."""

    def test_script(self) -> None:
        """Each request gets the next line: a reply, an error, or what the test fires later."""
        later: Deferred[Reply] = Deferred()
        upstream = FakeUpstream(reply(200))
        upstream.will_answer(UpstreamTimedOut("late"), later)
        self.assertEqual(self.successResultOf(upstream.fetch(b"GET", b"/v2/a", [(b"A", b"b")])).status, 200)
        self.failureResultOf(upstream.ping([]), UpstreamTimedOut)
        searching = upstream.search(b"q=x")
        self.assertNoResult(searching)
        later.callback(reply(404))
        self.assertEqual(self.successResultOf(searching).status, 404)

    def test_record(self) -> None:
        """What was asked is kept in order."""
        upstream = FakeUpstream(reply(), reply(), reply(), reply())
        for asking in (
            upstream.fetch(b"HEAD", b"/v2/a", [(b"Accept", b"b"), (b"accept", b"c")]),
            upstream.ping([]),
            upstream.search(b"q=x"),
            upstream.again(b"/v2/b", [], frozenset({"h"})),
        ):
            self.successResultOf(asking)
        told = [(each.method, each.target) for each in upstream.asked]
        wanted = [(b"HEAD", b"/v2/a"), (b"GET", b"/v2/"), (b"GET", b"/v1/search?q=x"), (b"GET", b"/v2/b")]
        self.assertEqual(told, wanted)
        self.assertEqual([each.avoid for each in upstream.asked], [set(), set(), set(), {"h"}])
        self.assertEqual(upstream.asked[0].lines(b"Accept"), [b"b", b"c"])

    def test_script_over(self) -> None:
        """A request too many is a failure of the test, not of the upstream."""
        self.assertRaises(ScriptOver, FakeUpstream().fetch, b"GET", b"/", [])


class TokenSourceTests(SynchronousTestCase):
    """The scripted token source."""

    def test_script(self) -> None:
        """Tokens and answers come from the lists, and what was asked for is kept."""
        request = TokenRequest(SCOPES)
        source = FakeTokenSource(SETTINGS, answers=[TokenReply(200, (), b"{}")], bearers=[b"Bearer a", None])
        self.assertEqual(self.successResultOf(source.relay(request)).status, 200)
        self.assertEqual(self.successResultOf(source.bearer(SCOPES)), b"Bearer a")
        self.assertIsNone(self.successResultOf(source.bearer(())))
        source.forget(b"Bearer a")
        source.doubt()
        self.assertEqual(source.doubts, 1)
        self.assertEqual(
            (source.relayed, source.wanted, source.forgotten), ([request], [SCOPES, ()], [b"Bearer a"])
        )
        self.assertRaises(ScriptOver, source.relay, request)
        self.assertRaises(ScriptOver, source.bearer, ())

    def test_known(self) -> None:
        """Authority, credentials and foreign tokens are what the test says."""
        source = FakeTokenSource(SETTINGS)
        self.assertIs(self.successResultOf(source.authority()), BEARER)
        source.known = Authority("none")
        source.ours[b"Bearer a"] = "account"
        source.foreigners.add(b"Bearer f")
        self.assertEqual(self.successResultOf(source.authority()).kind, "none")
        self.assertEqual(
            [source.credential(each) for each in (None, b"Bearer a", b"x")], ["anonymous", "account", None]
        )
        self.assertEqual([source.foreign(each) for each in (b"Bearer f", b"x")], [True, False])
