"""What upstream says of the part that it sends, against what was asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy import content
from docxy.answers import Answer, Caller, Stream
from docxy.interfaces import Reply
from docxy.oci.routes import Route, parse
from docxy.settings.values import UpstreamSettings
from docxy.testing import MemoryBody, reply

ROUTE: Route = parse(b"GET", b"/v2/a/b/blobs/sha256:" + b"a" * 64, b"")
UPSTREAM = UpstreamSettings("example.com", ("https://example.com",))


def asking(wanted: str) -> Caller:
    """A client that asks for a range."""
    return Caller(b"GET", ((b"Range", wanted.encode()),), None, "https://m", None)


def part(told: str | None, size: int = 10) -> Reply:
    """A 206 that says where it belongs."""
    headers = [] if told is None else [(b"Content-Range", told.encode())]
    return reply(206, MemoryBody(b"x" * size), headers, length=size)


class FitsTests(SynchronousTestCase):
    def test_table(self) -> None:
        """A 206 is taken only where its bytes are those that a single range asked for."""
        for wanted, told, size, expected in [
            ("bytes=0-9", "bytes 0-9/100", 10, True),
            ("bytes=5-", "bytes 5-14/15", 10, True),
            ("bytes=-10", "bytes 90-99/100", 10, True),
            ("bytes=0-", "bytes 0-9/*", 10, True),
            ("bytes=100-109", "bytes 500-509/1000", 10, False),
            ("bytes=0-", "bytes 500-509/1000", 10, False),
            ("bytes=0-", "bytes 0-9/1000", 10, False),
            ("bytes=0-9", "bytes 0-9/100", 11, False),
            ("bytes=-10", "bytes 0-9/*", 10, False),
            ("bytes=0-", None, 10, False),
            ("bytes=0-", "bytes */10", 10, False),
            ("bytes=0-1,4-5", None, 10, True),
            ("bytes=0-1,4-5", "bytes 0-9/100", 10, True),
            ("lines=1", "bytes 0-9/100", 10, False),
        ]:
            with self.subTest(wanted=wanted, told=told, size=size):
                self.assertIs(content.fits(ROUTE, asking(wanted), part(told, size)), expected)


class VerifierTests(SynchronousTestCase):
    def verified(self, answer: Answer) -> bool:
        """Whether the body of an answer is checked on its way."""
        assert isinstance(answer.content, Stream)
        return answer.content.verifier is not None

    def test_parts(self) -> None:
        """Whatever may be the whole blob is verified: also a part from 0 on of a size that is not told."""
        for wanted, told, expected in [
            ("bytes=0-", "bytes 0-9/10", True),
            ("bytes=0-9", "bytes 0-9/10", True),
            ("bytes=0-", "bytes 0-9/*", True),
            ("bytes=0-9", "bytes 0-9/*", False),
            ("bytes=5-", "bytes 5-14/15", False),
            ("bytes=0-1,4-5", None, False),
        ]:
            with self.subTest(wanted=wanted, told=told):
                answer = content.blob(ROUTE, UPSTREAM, asking(wanted), part(told))
                self.assertIs(self.verified(answer), expected)

    def test_coding(self) -> None:
        """Identity is no coding; what is coded is the client's to undo and to check."""
        caller = Caller(b"GET", (), None, "https://m", None)
        for coding, expected in [(b"identity", True), (b"", True), (b" Identity", True), (b"gzip", False)]:
            coded = reply(200, MemoryBody(b"x"), [(b"Content-Encoding", coding)])
            with self.subTest(coding=coding):
                answer = content.blob(ROUTE, UPSTREAM, caller, coded)
                self.assertIs(self.verified(answer), expected)
