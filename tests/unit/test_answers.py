"""Tests for `docxy.answers`."""

from __future__ import annotations

import gzip
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.answers import (
    MAX_ERROR,
    MAX_ERROR_WAIT,
    Answer,
    Caller,
    error_code,
    in_time,
    own_answer,
    refusal,
    unavailable,
    waiting,
)
from docxy.interfaces import (
    Clocks,
    Reply,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from docxy.oci.routes import Kind
from docxy.testing import MemoryBody, reply
from tests.unit.mirror_rig import WALL, values

DENIED = b'{"errors": [{"code": "DENIED",  "message": "no"}]}'
JSON = (b"Content-Type", b"application/json; charset=utf-8")


def codes(answer: Answer) -> list[str]:
    """The codes in an answer's OCI JSON."""
    assert isinstance(answer.content, bytes)
    return [error["code"] for error in json.loads(answer.content)["errors"]]


class CallerTests(SynchronousTestCase):
    """What is known of who asks."""

    def test_header(self) -> None:
        """The first value of a header is found whatever its case."""
        caller = Caller(b"HEAD", ((b"RANGE", b"a"), (b"Range", b"b")), None, "https://m", None)
        self.assertEqual((caller.header(b"range"), caller.header(b"etag")), ("a", None))
        self.assertTrue(caller.is_head)

    def test_repr(self) -> None:
        """No credential and no URL, which may hold the secret path, gets into a log by way of repr."""
        headers = ((b"Authorization", b"Basic c2VjcmV0"),)
        caller = Caller(b"GET", headers, "m", "https://m", b"Basic c2VjcmV0")
        self.assertEqual(repr(caller), "Caller(method=b'GET')")
        self.assertFalse(caller.is_head)


class OwnAnswerTests(SynchronousTestCase):
    """Answers made here."""

    def test_own(self) -> None:
        """Its length is its content's, and its source is told."""
        answer = own_answer(200, b"{}", ((b"A", b"b"),))
        self.assertEqual(answer, Answer(200, ((b"A", b"b"),), 2, b"{}", "self"))


class CodeTests(SynchronousTestCase):
    """The specification's code for a status."""

    def test_table(self) -> None:
        """Status first, then the kind of request."""
        table = (
            (401, Kind.MANIFEST, "UNAUTHORIZED"),
            (403, Kind.BLOB, "DENIED"),
            (404, Kind.MANIFEST, "MANIFEST_UNKNOWN"),
            (404, Kind.BLOB, "BLOB_UNKNOWN"),
            (404, Kind.TAGS, "NAME_UNKNOWN"),
            (404, Kind.REFERRERS, "NOT_FOUND"),
            (416, Kind.BLOB, "RANGE_INVALID"),
            (429, Kind.MANIFEST, "TOOMANYREQUESTS"),
            (500, Kind.BLOB, "UNAVAILABLE"),
            (503, Kind.BLOB, "UNAVAILABLE"),
            (400, Kind.BLOB, "UNKNOWN"),
            (405, Kind.BLOB, "UNKNOWN"),
        )
        for status, kind, code in table:
            self.assertEqual(error_code(status, kind).code, code, (status, kind))


class RefusalTests(SynchronousTestCase):
    """An upstream's refusal, as the client sees it."""

    def setUp(self) -> None:
        self.clock = Clock()

    def asking(self, refused: Reply, kind: Kind = Kind.MANIFEST) -> Deferred[Answer]:
        """The making of the answer."""
        clocks = Clocks(self.clock, lambda: WALL)
        return Deferred.fromCoroutine(refusal(refused, kind, clocks))

    def made(self, refused: Reply, kind: Kind = Kind.MANIFEST) -> Answer:
        """The answer, where nothing has to be waited for."""
        return self.successResultOf(self.asking(refused, kind))

    def test_json(self) -> None:
        """Upstream's JSON is kept byte for byte, with its type and status."""
        answer = self.made(reply(403, DENIED, [JSON]))
        self.assertEqual((answer.status, answer.content, answer.length), (403, DENIED, len(DENIED)))
        self.assertEqual(values(answer, b"content-type"), [JSON[1]])

    def test_headers(self) -> None:
        """What only upstream's own clients may know is dropped, and ours is set."""
        dropped = [
            (b"Docker-RateLimit-Source", b"203.0.113.9"),
            (b"Cache-Control", b"public"),
            (b"Expires", b"x"),
            (b"Age", b"3"),
            (b"Set-Cookie", b"a=b"),
            (b"WWW-Authenticate", b"Bearer realm=x"),
            (b"Location", b"https://elsewhere.example"),
        ]
        answer = self.made(reply(403, DENIED, [*dropped, JSON, (b"RateLimit-Limit", b"100;w=21600")]))
        self.assertEqual(
            answer.headers,
            (
                JSON,
                (b"RateLimit-Limit", b"100;w=21600"),
                (b"X-Content-Type-Options", b"nosniff"),
                (b"Content-Security-Policy", b"default-src 'none'; sandbox"),
                (b"Cache-Control", b"private, no-transform"),
                (b"Docker-Distribution-Api-Version", b"registry/2.0"),
            ),
        )

    def test_not_json(self) -> None:
        """HTML, coded, nested, scalar, cut off and empty bodies become our JSON of the same status."""
        for content in (
            b"<html>no</html>",
            gzip.compress(DENIED),
            b"[" * 50000,
            b"17",
            b"[]",
            b"\xff\xfe",
            b"",
            MemoryBody(DENIED, end="broken"),
            MemoryBody(b" " * MAX_ERROR + DENIED),
        ):
            rude = [(b"Content-Type", b"text/html"), (b"Content-Encoding", b"gzip")]
            answer = self.made(reply(404, content, rude), Kind.BLOB)
            assert isinstance(answer.content, bytes)
            self.assertEqual((answer.status, codes(answer)), (404, ["BLOB_UNKNOWN"]))
            self.assertEqual(answer.length, len(answer.content))
            self.assertEqual(values(answer, b"content-type"), [b"application/json"])
            self.assertEqual(values(answer, b"content-encoding"), [])

    def test_mistyped(self) -> None:
        """JSON that says it is something else, or nothing, is told to be JSON: clients choose by that."""
        for headers in ([(b"Content-Type", b"text/plain")], []):
            answer = self.made(reply(403, DENIED, headers))
            self.assertEqual(
                (answer.content, values(answer, b"content-type")), (DENIED, [b"application/json"])
            )

    def test_stalled(self) -> None:
        """The text of an error is waited for a little: its status is known."""
        body = MemoryBody(b'{"errors"', end="never")
        asking = self.asking(reply(403, body))
        self.clock.advance(MAX_ERROR_WAIT - 0.1)
        self.assertNoResult(asking)
        self.clock.advance(0.1)
        self.assertEqual(codes(self.successResultOf(asking)), ["DENIED"])
        self.assertTrue(body.stopped)

    def test_left(self) -> None:
        """A client that leaves meanwhile ends the connection."""
        body = MemoryBody(end="never")
        asking = self.asking(reply(403, body))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertTrue(body.stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_wait(self) -> None:
        """Every refusal tells a wait of at most a minute, a 429 always one."""
        long = (b"Retry-After", b"3600")
        self.assertEqual(values(self.made(reply(429, DENIED, [long])), b"retry-after"), [b"60"])
        self.assertEqual(values(self.made(reply(429, DENIED)), b"retry-after"), [b"10"])
        self.assertEqual(values(self.made(reply(503, DENIED, [long])), b"retry-after"), [b"60"])
        self.assertEqual(values(self.made(reply(503, DENIED)), b"retry-after"), [])

    @settings(derandomize=True, max_examples=60, deadline=None)
    @given(
        st.sampled_from([400, 401, 404, 500]), st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
    )
    def test_any(self, status: int, content: bytes) -> None:
        """Whatever upstream sends, the client gets a JSON object of its announced length."""
        answer = self.made(reply(status, content))
        assert isinstance(answer.content, bytes)
        self.assertIsInstance(json.loads(answer.content), dict)
        self.assertEqual((answer.status, answer.length), (status, len(answer.content)))


class WaitingTests(SynchronousTestCase):
    """How long a client is told to wait."""

    def test_table(self) -> None:
        """1 to 60 seconds on refusals, whatever form upstream's word has, and none on other answers."""
        table = (
            (b"7", b"7"),
            (b"0", b"1"),
            (b"86400", b"60"),
            (b"soon", b"10"),
            (b"Mon, 23 Nov 2026 12:00:30 GMT", b"30"),
            (b"Mon, 23 Nov 2026 13:00:00 GMT", b"60"),
        )
        for told, seconds in table:
            lines = [(b"retry-after", told), (b"A", b"b"), (b"Retry-After", b"9")]
            for status in (400, 404, 429, 503):
                self.assertEqual(waiting(status, lines, WALL), ((b"A", b"b"), (b"Retry-After", seconds)))
            for status in (200, 206, 304):
                self.assertEqual(waiting(status, lines, WALL), ((b"A", b"b"),))


class InTimeTests(SynchronousTestCase):
    """Work with a limit."""

    def test_in_time(self) -> None:
        """Work that ends in time leaves nothing behind; later it is cancelled and told as late."""
        clock = Clock()
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()

        async def work(waited: Deferred[int]) -> int:
            return await waited

        done, late = in_time(3, clock, work(first)), in_time(3, clock, work(second))
        first.callback(1)
        self.assertEqual(self.successResultOf(done), 1)
        clock.advance(3)
        failure = self.failureResultOf(late, UpstreamTimedOut)
        self.assertEqual(str(failure.value), "no whole answer within 3 s")
        self.assertTrue(second.called)
        self.assertEqual(clock.getDelayedCalls(), [])


class UnavailableTests(SynchronousTestCase):
    """An upstream that gave no answer."""

    def test_table(self) -> None:
        """Time is 504, all else 502, and upstream is named."""
        table: tuple[tuple[UpstreamError, int], ...] = (
            (UpstreamTimedOut("late"), 504),
            (UpstreamUnreachable("gone"), 502),
            (UpstreamBroken("cut"), 502),
        )
        for error, status in table:
            told = unavailable("docker.io", error)
            self.assertEqual((told.status, told.code), (status, "UNAVAILABLE"))
            self.assertEqual(told.message, f"docker.io: {error}")
