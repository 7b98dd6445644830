"""Parts of a blob that are asked for: to mend it, and ahead of their turn."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from docxy.interfaces import Course, HeaderLines, Reply
from docxy.oci.routes import parse
from docxy.testing import FakeUpstream, reply
from tests.unit.mirror_rig import BLOB, CONTENT, TOKEN, PullTests

NOBODY: frozenset[str] = frozenset()


class NotingUpstream(FakeUpstream):
    """Notes in which way it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[str] = []

    def fetch(
        self, method: bytes, target: bytes, headers: HeaderLines, avoid: frozenset[str] = NOBODY
    ) -> Deferred[Reply]:
        self.ways.append("fetch")
        return super().fetch(method, target, headers, avoid)

    def again(self, target: bytes, headers: HeaderLines, avoid: frozenset[str]) -> Deferred[Reply]:
        self.ways.append("again")
        return super().again(target, headers, avoid)


class PartsTests(PullTests):
    """Ways to ask for parts of one blob."""

    def setUp(self) -> None:
        super().setUp()
        self.noting = self.rig.upstreams["docker.io"] = NotingUpstream()
        self.caller = self.rig.caller(headers=[(b"If-None-Match", b"x")], authorization=TOKEN)

    def pull(self) -> None:
        """A blob is pulled."""
        self.noting.will_answer(reply(content=CONTENT))
        self.successResultOf(self.rig.pull(BLOB, self.caller))

    def ask(self, asks: list[Deferred[Reply]]) -> None:
        """Both ways are asked for the bytes from 16 up to 32."""
        for ask in (self.rig.asks[-1], self.rig.aheads[-1]):
            assert ask is not None
            self.noting.will_answer(reply(206))
            asks.append(ask(16, 32, frozenset({"bad.example"})))

    def test_ways(self) -> None:
        """To mend, new connections are asked; ahead, any that there are; each for just the range."""
        self.pull()
        asks: list[Deferred[Reply]] = []
        self.ask(asks)
        self.assertEqual([self.successResultOf(asked).status for asked in asks], [206, 206])
        self.assertEqual(self.noting.ways, ["fetch", "again", "fetch"])
        for asked in self.noting.asked[1:]:
            self.assertEqual(asked.method, b"GET")
            self.assertEqual(asked.target, BLOB.encode())
            self.assertEqual(asked.lines(b"range"), [b"bytes=16-31"])
            self.assertEqual(asked.lines(b"authorization"), [TOKEN])
            self.assertEqual(asked.lines(b"if-none-match"), [])
            self.assertEqual(asked.avoid, {"bad.example"})

    def test_expired_token(self) -> None:
        """Both go on anonymously where the client's token has run out."""
        self.pull()
        self.rig.tokens["docker.io"].bearers.extend([b"Bearer a", b"Bearer b"])
        for ask in (self.rig.asks[-1], self.rig.aheads[-1]):
            assert ask is not None
            self.noting.will_answer(reply(401), reply(206))
            self.assertEqual(self.successResultOf(ask(16, 32, NOBODY)).status, 206)
        borne = [asked.lines(b"authorization") for asked in self.noting.asked[1:]]
        self.assertEqual(borne, [[TOKEN], [b"Bearer a"], [TOKEN], [b"Bearer b"]])

    def test_wrong_bytes(self) -> None:
        """Who sent wrong bytes of the blob lately is avoided for its parts, too."""
        self.pull()
        route = parse(b"GET", BLOB.encode(), b"")
        target = self.rig.addressing.target(route, None)
        self.rig.mirror.note_misfit(route, target, Course(hosts=["wrong.example"]), len(CONTENT))
        self.ask([])
        for asked in self.noting.asked[1:]:
            self.assertEqual(asked.avoid, {"bad.example", "wrong.example"})

    def test_not_mendable(self) -> None:
        """A body whose offsets mean something else has neither way."""
        self.noting.will_answer(reply(content=CONTENT, headers=[(b"Content-Encoding", b"gzip")]))
        self.successResultOf(self.rig.pull(BLOB, self.caller))
        self.assertEqual((self.rig.asks, self.rig.aheads), ([None], [None]))
