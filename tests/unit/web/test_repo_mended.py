"""The pull API over a connection: bodies that break, and bytes that are wrong."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply
from docxy.testing import End, MemoryBody, reply
from tests.unit.web.rig import HUB, Logged, Rig, settings, with_limits
from tests.unit.web.test_repo import BLOB, CONTENT, MANIFEST, TAGS

SIZE = len(CONTENT)
HOME = "registry-1.docker.io"


def leg(first: int, cut: int, end: End = "broken", host: str = "cdn.example") -> Reply:
    """A 206 from ``first`` on that ends at byte ``cut``."""
    told = f"bytes {first}-{SIZE - 1}/{SIZE}".encode()
    body = MemoryBody(CONTENT[first:cut], end=end, piece=1000)
    return reply(206, body, [(b"Content-Range", told)], length=SIZE - first, host=host, redirected=True)


def start(cut: int = SIZE, end: End = "whole", content: bytes = CONTENT, host: str = "cdn.example") -> Reply:
    """A 200 that ends at byte ``cut``."""
    body = MemoryBody(content[:cut], end=end, piece=1000)
    return reply(200, body, length=SIZE, host=host, redirected=True)


class MendedTests(SynchronousTestCase):
    """What a client sees of breaks: nothing."""

    def setUp(self) -> None:
        """A mirror and one client."""
        self.logged = Logged(self)
        self.rig = Rig(settings(HUB))
        self.client = self.rig.connect()

    def wait(self, seconds: float = 1.0) -> None:
        """Let time pass."""
        self.rig.clock.pump([0.1] * round(seconds * 10))

    def test_resets(self) -> None:
        """Twenty resets in one answer: one head, all bytes, a clean end, and the log counts them."""
        cuts = range(5000, SIZE, 5000)
        self.rig.hub.will_answer(start(5000, "broken"), *(leg(cut, cut + 5000) for cut in cuts))
        self.client.ask(BLOB)
        self.wait(10)
        came = self.client.answer()
        self.assertEqual((came.status, came.body, came.whole), (200, CONTENT, True))
        self.assertFalse(self.client.closed)
        [event] = self.logged.access
        self.assertEqual((event["resumes"], event["bytes"], event["error"]), (len(cuts), SIZE, "-"))
        asked = [each.lines(b"Range") for each in self.rig.hub.asked[1:]]
        self.assertEqual(asked, [[f"bytes={cut}-{SIZE - 1}".encode()] for cut in cuts])

    def test_range(self) -> None:
        """A client's own range is mended inside itself."""
        first = leg(70_000, 80_000)
        self.rig.hub.will_answer(first, leg(80_000, SIZE, "whole"))
        self.client.ask(BLOB, "Range: bytes=70000-")
        self.wait()
        came = self.client.answer()
        self.assertEqual((came.status, came.body, came.whole), (206, CONTENT[70_000:], True))

    def test_untold_size(self) -> None:
        """A chunked answer is mended too, and is whole where its digest says so."""
        first = replace(start(5000, "broken"), length=None)
        self.rig.hub.will_answer(first, start())
        self.client.ask(BLOB)
        self.wait()
        came = self.client.answer()
        self.assertEqual((came.body, came.whole, came.headers["Content-Length"]), (CONTENT, True, None))

    def test_given_up(self) -> None:
        """Where the bytes are not to be had the end is short, and the log says by whom and why."""
        refusal = replace(reply(404, b"{}"), host=HOME)
        self.rig.hub.will_answer(start(5000, "broken"), refusal)
        self.client.ask(BLOB)
        self.wait()
        came = self.client.answer()
        self.assertEqual((came.body, came.whole), (CONTENT[:5000], False))
        self.assertTrue(self.client.line.disconnecting and not self.client.line.aborted)
        [event] = self.logged.access
        self.assertEqual(event["error"], "cdn.example: upstream answered with status 404 to a resume")

    def test_leaves(self) -> None:
        """A client that leaves between or during tries ends them: nothing is left."""
        cancelled: list[object] = []
        for script in ((), (Deferred[Reply](cancelled.append),)):
            self.rig.hub.will_answer(start(5000, "broken"), *script)
            client = self.rig.connect()
            client.ask(BLOB)
            if script:
                self.wait()
            client.leave()
            self.assertEqual(self.rig.relays.active, 0)
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(len(self.rig.hub.asked), 3)
        self.client.leave()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_lists(self) -> None:
        """Lists have no ranges: a broken one ends short."""
        self.rig.hub.will_answer(reply(200, MemoryBody(b"{", end="broken"), length=9))
        came = self.client.get(TAGS)
        self.assertEqual((came.body, came.whole), (b"{", False))

    def test_manifest(self) -> None:
        """A manifest that stalls is asked for again: 15 of 25 seconds are left for that."""
        self.rig.hub.will_answer(reply(200, MemoryBody(b"{", end="never"), length=2), reply(200, b"{}"))
        self.client.ask(MANIFEST)
        self.wait(17)
        came = self.client.answer()
        self.assertEqual((came.status, came.body), (200, b"{}"))


class MisfitTests(SynchronousTestCase):
    """Bytes that are not the digest's."""

    def test_story(self) -> None:
        """Short, told in the log with the host, no tail of it, and right from another host."""
        logged = Logged(self)
        rig = Rig(settings(HUB))
        wrong = b"X" + CONTENT[1:]
        rig.hub.will_answer(start(5000, "broken", wrong, "a.example"), leg(5000, SIZE, "whole", "b.example"))
        client = rig.connect()
        client.ask(BLOB)
        rig.clock.pump([0.1] * 10)
        came = client.answer()
        self.assertEqual((came.body, came.whole), (wrong[: SIZE - 1000], False))
        self.assertIn("a.example, b.example: content is sha256:", logged.access[0]["error"])
        came = rig.connect().get(BLOB, f"Range: bytes={SIZE - 1000}-")
        self.assertEqual((came.status, came.code), (416, "RANGE_INVALID"))
        self.assertEqual(came.headers["content-range"], f"bytes */{SIZE}")
        rig.hub.will_answer(start(host="c.example"))
        came = rig.connect().get(BLOB)
        self.assertEqual((came.body, came.whole), (CONTENT, True))
        self.assertEqual(rig.hub.asked[-1].avoid, {"a.example", "b.example"})

    def test_short_is_no_misfit(self) -> None:
        """Bytes that are missing say nothing against those that came."""
        rig = Rig(with_limits(mend_attempts=1))
        rig.hub.will_answer(
            start(5000, "broken"), replace(reply(404, b"{}"), host=HOME), leg(5000, SIZE, "whole")
        )
        client = rig.connect()
        client.ask(BLOB)
        rig.clock.pump([0.1] * 10)
        self.assertFalse(client.answer().whole)
        came = rig.connect().get(BLOB, "Range: bytes=5000-")
        self.assertEqual((came.status, came.body), (206, CONTENT[5000:]))
        self.assertEqual(rig.hub.asked[-1].avoid, set())
