"""What monitors are told."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy import __version__
from docxy.interfaces import Reply, UpstreamUnreachable
from docxy.testing import MemoryBody, reply
from docxy.web.health import FRESH
from tests.unit.web.rig import GHCR, HUB, Rig, settings


class HealthTests(SynchronousTestCase):
    """``/health``."""

    def setUp(self) -> None:
        """Two upstreams."""
        self.rig = Rig(settings(HUB, GHCR))
        self.ghcr = self.rig.upstreams["ghcr.io"]
        self.client = self.rig.connect()

    def test_alive(self) -> None:
        """While the process serves it is well, whatever upstreams are."""
        came = self.client.get("/health")
        self.assertEqual((came.status, came.headers["Cache-Control"]), (200, "no-store"))
        self.assertEqual(came.json, {"status": "ok", "version": __version__, "relays": 0})
        self.assertEqual(self.client.get("/health?upstream=0").status, 200)
        self.assertEqual(self.client.get("/health", method="HEAD").body, b"")

    def test_certificate_awaited(self) -> None:
        """A stand-in in the place of a certificate is told; the process serves all the same."""
        self.rig.awaits = True
        came = self.client.get("/health")
        self.assertEqual((came.status, came.json["certificate"]), (200, "awaited"))

    def test_counts_relays(self) -> None:
        """It tells how many transfers run."""
        self.rig.hub.will_answer(Deferred())
        self.rig.connect().ask("/v2/library/alpine/tags/list")
        self.assertEqual(self.client.get("/health").json["relays"], 1)

    def test_upstreams(self) -> None:
        """With upstream=1 each upstream is asked; a challenge is a good sign."""
        body = MemoryBody(b"{}")
        self.rig.hub.will_answer(reply(401, body))
        self.ghcr.will_answer(reply(200, b"{}"))
        came = self.client.get("/health?x=y&upstream=1")
        self.assertEqual((came.status, came.json["upstreams"]), (200, {"docker.io": "ok", "ghcr.io": "ok"}))
        self.assertEqual(body.fate, "dropped")

    def test_unreachable(self) -> None:
        """One that cannot be reached, or is not well, makes it 503, and says why."""
        self.rig.hub.will_answer(UpstreamUnreachable("cannot connect"))
        self.ghcr.will_answer(reply(500))
        came = self.client.get("/health?upstream=1")
        self.assertEqual((came.status, came.json["status"]), (503, "unreachable"))
        self.assertEqual(came.json["upstreams"], {"docker.io": "cannot connect", "ghcr.io": "status 500"})

    def test_at_once(self) -> None:
        """Upstreams are asked side by side, once for all who ask meanwhile."""
        hub: Deferred[Reply] = Deferred()
        ghcr: Deferred[Reply] = Deferred()
        self.rig.hub.will_answer(hub)
        self.ghcr.will_answer(ghcr)
        other = self.rig.connect()
        self.client.ask("/health?upstream=1")
        other.ask("/health?upstream=1")
        self.assertEqual((len(self.rig.hub.asked), len(self.ghcr.asked)), (1, 1))
        ghcr.callback(reply(401))
        hub.callback(reply(401))
        self.assertEqual((self.client.answer().status, other.answer().status), (200, 200))

    def test_cached(self) -> None:
        """What was found stands for some seconds."""
        for found in (401, 500, 401):
            self.rig.hub.will_answer(reply(found))
            self.ghcr.will_answer(reply(401))
            expected = 200 if found == 401 else 503
            for _ in range(3):
                self.assertEqual(self.client.get("/health?upstream=1").status, expected)
            self.rig.clock.advance(FRESH)
        self.assertEqual(len(self.rig.hub.asked), 3)

    def test_monitor_leaves(self) -> None:
        """A monitor that gives up ends its questions."""
        cancelled: list[object] = []
        self.rig.hub.will_answer(Deferred(cancelled.append))
        self.ghcr.will_answer(Deferred(cancelled.append))
        self.client.ask("/health?upstream=1")
        self.client.leave()
        self.assertEqual(len(cancelled), 2)
