"""The requests that are served, and what is counted of them."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import UpstreamTimedOut
from docxy.testing import MemoryBody, reply
from tests.unit.metrics_rig import lines
from tests.unit.web.rig import Logged, Rig

CONTENT = b"layer" * 20_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = f"/v2/library/alpine/blobs/{DIGEST}"
SIZE = len(CONTENT)

REQUEST = 'docxy_requests_total{{kind="{}",status="{}",upstream="{}"}} 1.0'
RELAYED = 'docxy_bytes_total{{source="relay",upstream="docker.io"}} {:.1f}'


class TrafficTests(SynchronousTestCase):
    """Counting of what a site serves."""

    def setUp(self) -> None:
        """A mirror and one client."""
        Logged(self)
        self.rig = Rig()
        self.rig.metrics.before(self.rig.traffic.settle)
        self.client = self.rig.connect()

    def told(self, *names: str) -> list[str]:
        """What the metrics say."""
        return lines(self.rig.metrics, *names)

    def test_requests(self) -> None:
        """Each request counts once, by what it was about and how it ended."""
        self.rig.hub.will_answer(reply(404, b"{}"), UpstreamTimedOut("late"))
        self.client.get(BLOB)
        self.client.get("/v2/library/alpine/tags/list")
        self.client.get("/v2/")
        self.client.get("/health")
        self.client.get("/nothing")
        expected = [
            REQUEST.format("blob", 404, "docker.io"),
            REQUEST.format("tags", 504, "docker.io"),
            REQUEST.format("ping", 401, "docker.io"),
            REQUEST.format("other", 200, "none"),
            REQUEST.format("other", 404, "none"),
        ]
        self.assertEqual(self.told("docxy_requests"), expected)

    def test_refused_early(self) -> None:
        """What never became a request counts as well."""
        self.client.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(self.told("docxy_requests"), [REQUEST.format("other", 400, "none")])

    def test_bytes(self) -> None:
        """The bytes of a running relay count when they are asked for, and none of them twice."""
        body = MemoryBody(CONTENT[:1000], end="never")
        self.rig.hub.will_answer(reply(200, body, length=SIZE))
        self.client.ask(BLOB)
        self.assertEqual(self.told("docxy_bytes"), [RELAYED.format(1000)])
        self.assertEqual(self.told("docxy_bytes"), [RELAYED.format(1000)])
        body.arrive(CONTENT[1000:])
        body.close("whole")
        self.assertEqual(self.told("docxy_bytes"), [RELAYED.format(SIZE)])
        self.assertEqual(self.told("docxy_requests"), [REQUEST.format("blob", 200, "docker.io")])

    def test_expected(self) -> None:
        """A known upstream's bytes are shown before the first pull, or its rate would miss that."""
        self.rig.traffic.expect(["ghcr.io"])
        _, content = self.rig.metrics.shown("")
        self.assertIn(b'docxy_bytes_total{source="relay",upstream="ghcr.io"} 0.0\n', content)
        self.assertEqual(self.rig.traffic.active(), {("ghcr.io",): 0.0})

    def test_active(self) -> None:
        """Relays are counted by upstream while they last, from their question on; other requests are none."""
        self.rig.traffic.expect(self.rig.upstreams)
        self.assertEqual(self.rig.traffic.active(), {("docker.io",): 0.0})
        body = MemoryBody(CONTENT[:1000], end="never")
        self.rig.hub.will_answer(reply(200, body, length=SIZE))
        self.client.ask(BLOB)
        self.rig.connect().get("/health")
        self.assertEqual(self.rig.traffic.active(), {("docker.io",): 1.0})
        self.client.leave()
        self.assertEqual(self.rig.traffic.active(), {("docker.io",): 0.0})
        self.assertEqual(self.told("docxy_requests")[1:], [REQUEST.format("blob", 200, "docker.io")])

    def test_resumes(self) -> None:
        """Mendings count by cause, those of a running relay too, and none of them twice."""
        first = MemoryBody(CONTENT[:1000], end="never")
        second = MemoryBody(CONTENT[1000:5000], end="never")
        part = [(b"Content-Range", f"bytes 1000-{SIZE - 1}/{SIZE}".encode())]
        self.rig.hub.will_answer(reply(200, first, length=SIZE), reply(206, second, part, length=SIZE - 1000))
        self.client.ask(BLOB)
        first.close()
        expected = ['docxy_resumes_total{cause="reset",upstream="docker.io"} 1.0']
        self.assertEqual(self.told("docxy_resumes"), expected)
        self.rig.clock.advance(2)
        self.assertEqual(self.told("docxy_resumes"), expected)
        second.arrive(CONTENT[5000:])
        second.close("whole")
        self.assertEqual(self.told("docxy_resumes", "docxy_broken"), expected)
        self.assertEqual(self.told("docxy_bytes"), [RELAYED.format(SIZE)])

    def test_broken(self) -> None:
        """A body that ends short counts by its cause: the last break, wrong bytes, or its client."""
        self.rig.hub.will_answer(reply(200, CONTENT[1:] + b"x"))
        self.client.get(BLOB)
        stalled = self.rig.connect()
        self.rig.hub.will_answer(
            reply(200, MemoryBody(b"x" * 131072, piece=131072, end="never"), length=1 << 20)
        )
        stalled.line.reading = False
        stalled.ask("/v2/library/alpine/tags/list")
        self.rig.clock.pump([1.0] * 301)
        refused = self.rig.connect()
        body = MemoryBody(CONTENT[:1000], end="never")
        self.rig.hub.will_answer(reply(200, body, length=SIZE), reply(404, host="registry-1.docker.io"))
        refused.ask(BLOB)
        body.close()
        self.rig.clock.advance(2)
        broken = ["digest", "client", "refused"]
        expected = [f'docxy_broken_total{{cause="{cause}",upstream="docker.io"}} 1.0' for cause in broken]
        self.assertEqual(self.told("docxy_broken"), expected)
