"""The pull API over a connection: answers, relays and their limits."""

from __future__ import annotations

import hashlib

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply, UpstreamTimedOut
from docxy.testing import MemoryBody, reply
from tests.unit.web.rig import GHCR, HUB, Connection, Logged, Rig, settings, with_limits

CONTENT = b"layer" * 20_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = f"/v2/library/alpine/blobs/{DIGEST}"
MANIFEST = "/v2/library/alpine/manifests/latest"
TAGS = "/v2/library/alpine/tags/list"


class PullTests(SynchronousTestCase):
    """What a client gets."""

    def setUp(self) -> None:
        """A mirror and one client."""
        self.logged = Logged(self)
        self.rig = Rig(settings(HUB, GHCR))
        self.client = self.rig.connect()

    def test_manifest(self) -> None:
        """A manifest, and what a HEAD tells of it."""
        headers = [(b"Content-Type", b"application/vnd.oci.image.index.v1+json")]
        self.rig.hub.will_answer(reply(200, b"{}", headers), reply(200, b"", headers, length=2))
        came = self.client.get(MANIFEST)
        self.assertEqual((came.status, came.body), (200, b"{}"))
        self.assertEqual(came.headers["Content-Type"], "application/vnd.oci.image.index.v1+json")
        came = self.client.get(MANIFEST, method="HEAD")
        self.assertEqual((came.status, came.headers["Content-Length"], came.body), (200, "2", b""))
        self.assertTrue(self.client.silent)
        self.assertEqual([event["bytes"] for event in self.logged.access], [2, 0])

    def test_blob(self) -> None:
        """A blob is relayed, verified and counted."""
        self.rig.hub.will_answer(reply(200, MemoryBody(CONTENT, piece=999), length=len(CONTENT)))
        came = self.client.get(BLOB)
        self.assertEqual((came.status, came.body, came.whole), (200, CONTENT, True))
        self.assertEqual(came.headers["Docker-Content-Digest"], DIGEST)
        [event] = self.logged.access
        self.assertEqual((event["bytes"], event["source"]), (len(CONTENT), "relay"))
        self.assertFalse(self.client.closed)

    def test_range(self) -> None:
        """A range of a blob whose upstream sends all of it is cut out of that."""
        body = MemoryBody(CONTENT, piece=1000)
        self.rig.hub.will_answer(reply(200, body, length=len(CONTENT)))
        came = self.client.get(BLOB, "Range: bytes=5-9")
        self.assertEqual((came.status, came.body, came.whole), (206, CONTENT[5:10], True))
        self.assertEqual(came.headers["Content-Range"], f"bytes 5-9/{len(CONTENT)}")
        self.assertTrue(body.stopped)

    def test_corrupt(self) -> None:
        """A blob that is not what its digest says ends short; the cause and the bytes are logged."""
        corrupt = b"X" + CONTENT[1:]
        self.rig.hub.will_answer(reply(200, MemoryBody(corrupt, piece=1000), length=len(corrupt)))
        came = self.client.get(BLOB)
        self.assertEqual((came.status, came.whole), (200, False))
        self.assertTrue(self.client.closed)
        [event] = self.logged.access
        self.assertEqual(event["bytes"], len(corrupt) - 1000)
        self.assertIn("registry.example: content is sha256:", event["error"])

    def test_upstream_fails(self) -> None:
        """No answer of upstream's is an answer of ours, and the connection goes on."""
        self.rig.hub.will_answer(UpstreamTimedOut("no answer within 25 s"), reply(200, b"{}"))
        came = self.client.get(MANIFEST)
        self.assertEqual((came.status, came.code), (504, "UNAVAILABLE"))
        self.assertEqual(self.client.get(MANIFEST).status, 200)

    def test_leaves_in_mid_body(self) -> None:
        """A client that leaves in mid-body drops upstream at once; what it got is logged."""
        body = MemoryBody(CONTENT[:1000], end="never")
        self.rig.hub.will_answer(reply(200, body, length=len(CONTENT)))
        self.client.ask(BLOB)
        self.client.leave()
        self.assertTrue(body.stopped)
        [event] = self.logged.access
        self.assertEqual((event["status"], event["bytes"], event["error"]), (200, 1000, "client left"))
        self.assertEqual(self.rig.relays.active, 0)

    def test_leaves_as_the_answer_comes(self) -> None:
        """Where cancelling comes too late the body is let go, and nobody is written to."""
        body = MemoryBody(CONTENT, end="never")
        asked: Deferred[Reply] = Deferred(lambda it: it.callback(reply(200, body, length=len(CONTENT))))
        self.rig.hub.will_answer(asked)
        self.client.ask(BLOB)
        self.client.leave()
        self.assertEqual(body.fate, "dropped")
        self.assertEqual(self.logged.access[0]["error"], "client left")

    def test_namespace(self) -> None:
        """`ns` names the upstream, stays here, and is answered."""
        self.rig.upstreams["ghcr.io"].will_answer(reply(200, b"{}"))
        came = self.client.get("/v2/org/app/manifests/v1?ns=ghcr.io")
        self.assertEqual(came.headers["OCI-Namespace"], "ghcr.io")
        self.assertEqual(self.rig.upstreams["ghcr.io"].asked[0].target, b"/v2/org/app/manifests/v1")

    def test_memory(self) -> None:
        """A slow reader of a large body makes nothing grow."""
        body = MemoryBody(b"x" * 65536, endless=True, end="never")
        self.rig.hub.will_answer(reply(200, body, length=1 << 40))
        self.client.line.reading = False
        self.client.ask(f"/v2/library/alpine/blobs/sha256:{'0' * 64}")
        for _ in range(100):
            self.client.line.take(100_000)
            self.client.line.taken = b""
        self.assertLess(self.client.line.peak, 200_000)
        self.client.leave()
        self.assertTrue(body.stopped)


class LimitTests(SynchronousTestCase):
    """Transfers at once."""

    def waiting(self, rig: Rig, peer: str) -> Connection:
        """A client whose transfer runs."""
        rig.hub.will_answer(Deferred())
        connection = rig.connect(peer)
        connection.ask(TAGS)
        return connection

    def test_per_client(self) -> None:
        """One client's are limited: 429 with a waiting time; others go on, and an end makes room."""
        rig = Rig(with_limits(relays_per_client=2))
        first, _ = self.waiting(rig, "2001:db8::1"), self.waiting(rig, "2001:db8::2")
        came = rig.connect("2001:db8::3").get(TAGS)
        self.assertEqual((came.status, came.code), (429, "TOOMANYREQUESTS"))
        self.assertIsNotNone(came.headers["Retry-After"])
        self.assertEqual(len(rig.hub.asked), 2)
        self.waiting(rig, "203.0.113.1")
        first.leave()
        self.waiting(rig, "2001:db8::4")
        self.assertEqual(len(rig.hub.asked), 4)

    def test_in_all(self) -> None:
        """All clients' are limited: 503 with a waiting time."""
        rig = Rig(with_limits(relays=2))
        self.waiting(rig, "203.0.113.1")
        self.waiting(rig, "203.0.113.2")
        came = rig.connect("203.0.113.3").get(TAGS)
        self.assertEqual((came.status, came.code), (503, "UNAVAILABLE"))
        self.assertIsNotNone(came.headers["Retry-After"])
        self.assertEqual(rig.connect().get("/v2/").status, 401)
